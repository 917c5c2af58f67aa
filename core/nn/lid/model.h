/* SPDX-License-Identifier: Apache-2.0
 * model.h - what a fastText model file holds (private to lid*.c).
 */
#ifndef EVO_NN_LID_MODEL_H
#define EVO_NN_LID_MODEL_H

#include <glib.h>

/* rows as codes of sub-vectors (Jegou et al. 2011, "Product quantization for nearest neighbor search") */
typedef struct {
  gint32 dim, n_parts, part, last; /* sub-vectors, their length, length of the last one */
  float *centroids;                /* [n_parts][256][part], the last with [256][last] */
} EvoLidQuantizer;

typedef struct { gint32 left, right, parent; gint64 count; gboolean is_right; } EvoLidNode; /* -1: none */

struct EvoLid {
  gint32 dim, word_ngrams, n_buckets, min_ngram, max_ngram;
  gint32 n_words, n_labels, n_rows;
  char **texts;                    /* [n_words + n_labels], owned */
  GHashTable *words;               /* text -> index + 1, words and labels */
  gint32 *pruned;                  /* [n_buckets] n-gram bucket -> row behind the words, -1: dropped; NULL: none is dropped */
  guint8 *codes, *norm_codes;      /* [n_rows][n_parts]; [n_rows] or NULL */
  EvoLidQuantizer q, norms;
  float *output;                   /* [n_outputs][dim]: inner nodes of the tree (or labels) */
  gint64 n_outputs;
  gboolean is_tree;                /* hierarchical soft-max, else soft-max */
  EvoLidNode *tree;                /* [2 n_labels - 1] */
};

#endif
