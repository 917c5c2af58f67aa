/* SPDX-License-Identifier: Apache-2.0
 * registry.h - finds plugins, judges their files and declarations, and looks operators up by "kind.name".
 *
 * Searched, in order: the folders of EVOPIPE_PLUGIN_PATH (colon-separated), then the build's or installation's plugin folder.
 * A broken plugin that nothing names is a warning; evo_registry_find says why when it is named.
 */
#ifndef EVO_REGISTRY_REGISTRY_H
#define EVO_REGISTRY_REGISTRY_H

#include "core/abi/evopipe.h"
#include "core/abi/evopipe-model.h"

typedef struct EvoRegistry EvoRegistry;
typedef struct {
  EvoKind kind;
  char *name;           /* "merge.linear" */
  char *file;           /* shared object, or "(built in)" */
  const EvoOp *op;      /* EvoMergeOp, EvoModelOp, EvoOptimizerOp or EvoEvaluatorOp: a copy as long as the host's table, zero-filled */
} EvoRegistered;

/* --- registry.c */
EvoRegistry *evo_registry_new (void);      /* scans; never fails: broken files become entries of get_broken */
void evo_registry_free (EvoRegistry *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoRegistry, evo_registry_free)
/* Loads one file; for tests and `inspect FILE.so`. Registers its operators. */
gboolean evo_registry_load (EvoRegistry *r, const char *path, GError **error);

/* --- find.c */
guint evo_registry_get_n (const EvoRegistry *r);
const EvoRegistered *evo_registry_get (const EvoRegistry *r, guint i);    /* sorted by name */
/* NULL and an error: unknown name (EVO_GRAPH_ERROR_UNKNOWN, with the nearest), or the sentence why its file was refused (exit 3). */
const EvoRegistered *evo_registry_find (const EvoRegistry *r, const char *name, GError **error);
const char *const *evo_registry_get_broken (const EvoRegistry *r);        /* sentences, NULL-terminated */
const char *evo_registry_kind_name (EvoKind kind);                        /* "merge" */
char *evo_registry_digest (const EvoRegistered *e);                       /* of the file's bytes: hex (owned) */

/* --- data.c */
/* Where data files are: models/cards, pipelines/templates, models/lid.176.ftz. $EVOPIPE_DATA, else beside the binary's build tree, else the
 * installation's share folder. Path (owned), or NULL and EVO_STORE_ERROR_MISSING. */
char *evo_data_file (const char *name, GError **error);

#endif
