/* SPDX-License-Identifier: Apache-2.0
 * lid.c - language identification as fastText does it: words and their character n-grams, averaged, down a tree of logistic units.
 *
 * Joulin et al. 2016, "Bag of tricks for efficient text classification"; "FastText.zip" for the compressed form. Arithmetic is in float, as
 * there.
 */
#include "core/nn/lid/lid.h"

#include <math.h>
#include <string.h>

#include "core/nn/lid/model.h"

#define LABEL_PREFIX "__label__"
#define END_OF_LINE "</s>"

typedef struct { const EvoLid *m; float *hidden; /* [dim] */ gint64 n_rows; GArray *hashes; GString *word; } Line;

/* ------------------------------------------------------------------ input rows */

static void
add_row (Line *line, gint32 row)
{
  const EvoLid *m = line->m;
  const EvoLidQuantizer *q = &m->q;
  const guint8 *codes = m->codes + (gsize) row * (gsize) q->n_parts;
  float norm = m->norm_codes == NULL ? 1 : m->norms.centroids[m->norm_codes[row]];
  float *x = line->hidden;

  for (gint32 p = 0; p < q->n_parts; p++) {
    gint32 n = p == q->n_parts - 1 ? q->last : q->part;
    const float *c = q->centroids + (gsize) p * 256 * (gsize) q->part + (gsize) codes[p] * (gsize) n;

    for (gint32 i = 0; i < n; i++)
      x[p * q->part + i] += norm * c[i];
  }
  line->n_rows++;
}

/* A bucket of n-grams, if the model has kept it. */
static void
add_bucket (Line *line, guint32 bucket)
{
  const EvoLid *m = line->m;
  gint32 row = m->pruned == NULL ? (gint32) bucket : m->pruned[bucket];

  if (row >= 0)
    add_row (line, m->n_words + row);
}

/* FNV-1a over signed characters: bytes from 0x80 on flip the upper bits too. */
static guint32
hash_bytes (guint32 h, const char *s, gsize n)
{
  for (gsize i = 0; i < n; i++)
    h = (h ^ (guint32) (gint8) s[i]) * 16777619u;
  return h;
}

static gsize
character_end (const char *s, gsize at, gsize n)
{
  do
    at++;
  while (at < n && ((guchar) s[at] & 0xc0) == 0x80);
  return at;
}

/* Runs of min_ngram to max_ngram characters of <word>, without the single "<" and ">". */
static void
add_character_ngrams (Line *line, const char *s, gsize n)
{
  const EvoLid *m = line->m;

  for (gsize i = 0; i < n; i++) {
    guint32 h = 2166136261u;
    gsize at = i;

    if (((guchar) s[i] & 0xc0) == 0x80)
      continue;
    for (gint32 length = 1; at < n && length <= m->max_ngram; length++) {
      gsize next = character_end (s, at, n);

      h = hash_bytes (h, s + at, next - at);
      at = next;
      if (length >= m->min_ngram && !(length == 1 && (i == 0 || at == n)))
        add_bucket (line, h % (guint32) m->n_buckets);
    }
  }
}

static void
add_word (Line *line, const char *s, gsize n)
{
  const EvoLid *m = line->m;
  gint32 index, hash = (gint32) hash_bytes (2166136261u, s, n);
  gboolean is_end;

  g_string_truncate (line->word, 0);
  g_string_append_len (line->word, s, (gssize) n);
  index = GPOINTER_TO_INT (g_hash_table_lookup (m->words, line->word->str)) - 1;
  if (index >= m->n_words || (index < 0 && g_str_has_prefix (line->word->str, LABEL_PREFIX)))
    return;
  is_end = strcmp (line->word->str, END_OF_LINE) == 0;
  g_array_append_val (line->hashes, hash);
  if (index >= 0)
    add_row (line, index);
  if (m->max_ngram == 0 || is_end)
    return;
  g_string_prepend_c (line->word, '<');
  g_string_append_c (line->word, '>');
  add_character_ngrams (line, line->word->str, line->word->len);
}

static void
add_word_ngrams (Line *line)
{
  const gint32 *hashes = (const gint32 *) (gconstpointer) line->hashes->data;

  for (guint i = 0; i < line->hashes->len; i++) {
    guint64 h = (guint64) (gint64) hashes[i];

    for (guint j = i + 1; j < line->hashes->len && j < i + (guint) line->m->word_ngrams; j++) {
      h = h * 116049371u + (guint64) (gint64) hashes[j];
      add_bucket (line, (guint32) (h % (guint64) line->m->n_buckets));
    }
  }
}

static gboolean
is_blank (char c)
{
  return c == ' ' || c == '\r' || c == '\t' || c == '\v' || c == '\f' || c == '\0';
}

/* Mean of the rows of a line. FALSE: it has none. */
static gboolean
read_line (Line *line, const char *text, gsize n)
{
  gsize at = 0;

  while (at < n) {
    gsize start = at;

    while (at < n && !is_blank (text[at]))
      at++;
    if (at > start)
      add_word (line, text + start, at - start);
    else
      at++;
  }
  add_word (line, END_OF_LINE, strlen (END_OF_LINE));
  if (line->m->word_ngrams > 1)
    add_word_ngrams (line);
  for (gint32 i = 0; i < line->m->dim && line->n_rows > 0; i++)
    line->hidden[i] *= (float) (1.0 / (double) line->n_rows);
  return line->n_rows > 0;
}

/* The hidden vector of a text without its newlines, [dim]; NULL: nothing in it is known. */
static float *
hidden_of (const EvoLid *m, const char *text, gsize n)
{
  g_autoptr (GString) clean = g_string_sized_new (n), word = g_string_new (NULL);
  g_autoptr (GArray) hashes = g_array_new (FALSE, FALSE, sizeof (gint32));
  g_autofree float *hidden = g_new0 (float, m->dim);
  Line line = { m, hidden, 0, hashes, word };

  for (gsize i = 0; i < n; i++)
    if (text[i] != '\n')
      g_string_append_c (clean, text[i]);
  return read_line (&line, clean->str, clean->len) ? g_steal_pointer (&hidden) : NULL;
}

/* ------------------------------------------------------------------ output */

/* fastText's logarithm, which never is infinite: hence probabilities a little above 1. */
static float
safe_log (float x)
{
  return (float) log (x + 1e-5);
}

static float
dot_output (const EvoLid *m, gint64 row, const float *hidden)
{
  const float *w = m->output + row * m->dim;
  float sum = 0;

  for (gint32 i = 0; i < m->dim; i++)
    sum += w[i] * hidden[i];
  return sum;
}

/* log P of going on from an inner node to one of its children. */
static float
step_score (const EvoLid *m, gint32 parent, gboolean to_right, const float *hidden)
{
  float f = 1.0f / (1.0f + expf (-dot_output (m, parent - m->n_labels, hidden)));

  return to_right ? safe_log (f) : safe_log (1.0f - f);
}

/* fastText's search with the threshold 0 leaves a branch whose score fell below log (0 + 1e-5): its labels have no probability. */
static gboolean
is_left (float score)
{
  return score < safe_log (0);
}

/* Down from the root: sums are formed in that order. */
static double
tree_probability (const EvoLid *m, gint32 label, const float *hidden)
{
  g_autofree gint32 *path = g_new (gint32, m->n_labels);
  gint32 n = 0;
  float score = 0;

  for (gint32 node = label; m->tree[node].parent >= 0; node = m->tree[node].parent)
    path[n++] = node;
  while (n > 0 && !is_left (score)) {
    const EvoLidNode *node = &m->tree[path[--n]];

    score += step_score (m, node->parent, node->is_right, hidden);
  }
  return is_left (score) ? 0 : expf (score);
}

/* Depth first, left before right, as fastText goes; a later label wins only if it is better. */
static gint32
tree_best (const EvoLid *m, const float *hidden, double *probability)
{
  typedef struct { gint32 node; float score; } Visit;
  g_autofree Visit *stack = g_new (Visit, 2 * m->n_labels);
  gint32 n = 0, best = -1;
  float best_score = -INFINITY;

  stack[n++] = (Visit){ 2 * m->n_labels - 2, 0 };
  while (n > 0) {
    Visit v = stack[--n];
    const EvoLidNode *node = &m->tree[v.node];

    if (is_left (v.score) || v.score <= best_score)
      continue;
    if (node->left < 0) {
      best = v.node;
      best_score = v.score;
      continue;
    }
    stack[n++] = (Visit){ node->right, v.score + step_score (m, v.node, TRUE, hidden) };
    stack[n++] = (Visit){ node->left, v.score + step_score (m, v.node, FALSE, hidden) };
  }
  *probability = best < 0 ? 0 : expf (best_score);
  return best;
}

/* [n_labels], of a model without a tree; through the same logarithm. */
static float *
softmax (const EvoLid *m, const float *hidden)
{
  float *p = g_new (float, m->n_labels), largest = -INFINITY, sum = 0;

  for (gint32 i = 0; i < m->n_labels; i++) {
    p[i] = dot_output (m, i, hidden);
    largest = MAX (largest, p[i]);
  }
  for (gint32 i = 0; i < m->n_labels; i++)
    sum += p[i] = expf (p[i] - largest);
  for (gint32 i = 0; i < m->n_labels; i++)
    p[i] = expf (safe_log (p[i] / sum));
  return p;
}

static const char *
label_code (const EvoLid *m, gint32 label)
{
  const char *text = m->texts[m->n_words + label];

  return g_str_has_prefix (text, LABEL_PREFIX) ? text + strlen (LABEL_PREFIX) : text;
}

static gint32
find_label (const EvoLid *m, const char *code)
{
  for (gint32 i = 0; i < m->n_labels; i++)
    if (strcmp (label_code (m, i), code) == 0)
      return i;
  return -1;
}

double
evo_lid_probability (const EvoLid *m, const char *text, gsize n, const char *code)
{
  gint32 label = find_label (m, code);
  g_autofree float *hidden = label < 0 ? NULL : hidden_of (m, text, n), *p = NULL;

  if (label < 0)
    return NAN;
  if (hidden == NULL)
    return 0;
  if (m->is_tree)
    return tree_probability (m, label, hidden);
  p = softmax (m, hidden);
  return p[label];
}

const char *
evo_lid_best (const EvoLid *m, const char *text, gsize n, double *probability)
{
  g_autofree float *hidden = hidden_of (m, text, n), *p = NULL;
  gint32 best = 0;

  *probability = 0;
  if (hidden == NULL)
    return NULL;
  if (m->is_tree) {
    best = tree_best (m, hidden, probability);
    return best < 0 ? NULL : label_code (m, best);
  }
  p = softmax (m, hidden);
  for (gint32 i = 1; i < m->n_labels; i++)
    if (p[i] > p[best])
      best = i;
  *probability = p[best];
  return label_code (m, best);
}
