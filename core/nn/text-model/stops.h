/* SPDX-License-Identifier: Apache-2.0
 * stops.h - strings that end a generation, wherever they lie across tokens.
 */
#ifndef EVO_NN_STOPS_H
#define EVO_NN_STOPS_H

#include "core/nn/tokenizer/tokenizer.h"

typedef struct {
  const EvoTokenizer *tokenizer;
  const char *const *strings; gsize n, longest; /* longest: bytes */
  gint32 *tokens;              /* [n] the token that is spelt like the string, -1: none */
  guint8 *can_end; gsize n_ids;/* [n_ids] atomic: may the token complete a string? 0: not yet known, 1: no, 2: yes */
} EvoStops;

void evo_stops_init (EvoStops *s, const EvoTokenizer *tokenizer, const char *const *strings, gsize n, gsize n_ids);
void evo_stops_clear (EvoStops *s);
/* Does one appear in what ids mean, now that the last of them is there? Special tokens count by their spelling. */
gboolean evo_stops_hit (const EvoStops *s, const gint32 *ids, gsize n);
/* Cuts the text where the first of them begins. */
void evo_stops_cut (const EvoStops *s, GString *text);

#endif
