/* SPDX-License-Identifier: Apache-2.0
 * host-keys.h - the keys of a node that the host reads whatever its plugin, for `evopipe inspect` and the schema.
 */
#ifndef EVO_CLI_HOST_KEYS_H
#define EVO_CLI_HOST_KEYS_H

#include "core/abi/evopipe.h"

typedef struct {
  guint32 kinds;       /* 1 << EvoKind */
  const char *name;
  const char *values;  /* what it takes, for people */
  const char *schema;  /* the same as JSON Schema; the last word has `evopipe check`. NULL: goes by the plugin */
  const char *doc;
} EvoHostKey;

extern const EvoHostKey evo_host_keys[]; /* name NULL: the end */

#endif
