/* SPDX-License-Identifier: Apache-2.0
 * place.h - where this program's own plugins and data are: its build tree, or the installation it is part of.
 */
#ifndef EVO_REGISTRY_PLACE_H
#define EVO_REGISTRY_PLACE_H

#include <glib.h>

char *evo_place_plugins (void); /* folder (owned), or NULL: there is none */

#endif
