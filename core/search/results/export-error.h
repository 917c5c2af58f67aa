/* SPDX-License-Identifier: Apache-2.0
 * export-error.h - how far a layer path as it was saved is from the path as it was searched: scales folded, numbers rounded.
 */
#ifndef EVO_SEARCH_EXPORT_ERROR_H
#define EVO_SEARCH_EXPORT_ERROR_H

#include "core/graph/layout.h"

struct EvoRun;

/* Over the logarithms of the probabilities of every token to come next, after each prompt. */
typedef struct {
  gint64 n_prompts, n_same;  /* n_same: of them, those after which the likeliest token is the same; n_prompts 0: nothing was measured */
  double largest, rms;       /* of the differences; infinite where one of both gives no number */
} EvoExportError;

/* Of a search whose model is in place: from the journal where it stands there for this trial, else measured (and journalled, and told) on the
 * first prompts, 32 at most, of the evaluator that validates, else of the first objective that asks a model something. genes: the winner's. */
gboolean evo_export_error_get (struct EvoRun *run, const EvoNode *search, const double *genes, gint64 trial, EvoExportError *out, GError **error);
/* Both, as log-probabilities of `vocab` tokens a prompt. */
void evo_export_error_compare (const float *searched, const float *saved, gsize n_prompts, gsize vocab, EvoExportError *out);
/* A sentence for people (owned); NULL: nothing was measured. */
char *evo_export_error_text (const EvoExportError *e, const EvoNode *search);
/* The member "export" of a search in scores.json; nothing where nothing was measured. */
void evo_export_error_write (const EvoExportError *e, EvoJsonWriter *w);
guint64 evo_export_error_bytes (const EvoModels *models, const EvoNode *search); /* held while it is measured, besides one model */

#endif
