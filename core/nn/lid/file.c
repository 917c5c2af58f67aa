/* SPDX-License-Identifier: Apache-2.0
 * file.c - reading a quantised fastText model (.ftz, version 12): arguments, dictionary, input codes, output matrix.
 *
 * All sizes are checked against the bytes that are there before anything is allocated.
 */
#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/nn/lid/model.h"
#include "core/nn/lid/lid.h"
#include "core/nn/small-file.h"

enum { MAGIC = 793712314, VERSION = 12, CENTROIDS = 256, MAX_DIM = 4096, MAX_LABELS = 1 << 20, MAX_BUCKETS = 1 << 24, MAX_BYTES = 1 << 30 };
enum { LOSS_HS = 1, LOSS_SOFTMAX = 3, MODEL_SUP = 3 };

typedef struct { const guint8 *p, *end; const char *path, *section; GError **error; } Reader;

static gboolean
fail (Reader *r, gint code, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
fail (Reader *r, gint code, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (r->error, EVO_STORE_ERROR, code, "%s: %s: %s", r->path, r->section, what);
}

static gsize
left (const Reader *r)
{
  return (gsize) (r->end - r->p);
}

/* n elements of some size: are they there? */
static gboolean
has (Reader *r, gint64 n, gsize size)
{
  if (n < 0 || (guint64) n > left (r) / size)
    return fail (r, EVO_STORE_ERROR_TRUNCATED, "%" G_GINT64_FORMAT " elements of %" G_GSIZE_FORMAT " bytes do not fit the %" G_GSIZE_FORMAT
                 " bytes that are left", n, size, left (r));
  return TRUE;
}

static gboolean
take (Reader *r, gpointer out, gsize n)
{
  if (!has (r, (gint64) n, 1))
    return FALSE;
  memcpy (out, r->p, n);
  r->p += n;
  return TRUE;
}

static gboolean
take_flag (Reader *r, gboolean *out)
{
  guint8 byte = 0;

  if (!take (r, &byte, 1))
    return FALSE;
  if (byte > 1)
    return fail (r, EVO_STORE_ERROR_FORMAT, "a flag of %u instead of 0 or 1", byte);
  *out = byte;
  return TRUE;
}

static gboolean
take_floats (Reader *r, gint64 n, float **out)
{
  if (!has (r, n, sizeof (float)))
    return FALSE;
  *out = g_new (float, n);
  take (r, *out, (gsize) n * sizeof (float));
  for (gint64 i = 0; i < n; i++)
    if (!isfinite ((*out)[i]))
      return fail (r, EVO_STORE_ERROR_FORMAT, "number %" G_GINT64_FORMAT " is not finite", i);
  return TRUE;
}

/* ------------------------------------------------------------------ arguments */

static gboolean
read_arguments (Reader *r, EvoLid *m)
{
  gint32 head[2], a[12]; /* dim ws epoch minCount neg wordNgrams loss model bucket minn maxn lrUpdateRate */
  double t;

  r->section = "heading";
  if (!take (r, head, sizeof head))
    return FALSE;
  if (head[0] != MAGIC)
    return fail (r, EVO_STORE_ERROR_FORMAT, "not a fastText model");
  if (head[1] != VERSION)
    return fail (r, EVO_STORE_ERROR_FORMAT, "version %d of the format; %d is supported", head[1], VERSION);
  r->section = "arguments";
  if (!take (r, a, sizeof a) || !take (r, &t, sizeof t))
    return FALSE;
  if (a[7] != MODEL_SUP || (a[6] != LOSS_HS && a[6] != LOSS_SOFTMAX))
    return fail (r, EVO_STORE_ERROR_FORMAT,
                 "model %d, loss %d; a classifier (3) with hierarchical soft-max (1) or soft-max (3) is expected", a[7], a[6]);
  if (a[0] < 1 || a[0] > MAX_DIM || a[8] < 0 || a[8] > MAX_BUCKETS || a[9] < 0 || a[10] < 0 || a[10] > 64 || a[5] < 1 || a[5] > 64)
    return fail (r, EVO_STORE_ERROR_FORMAT, "dim %d, bucket %d, minn %d, maxn %d, wordNgrams %d are out of range", a[0], a[8], a[9],
                 a[10], a[5]);
  m->dim = a[0];
  m->word_ngrams = a[5];
  m->is_tree = a[6] == LOSS_HS;
  m->n_buckets = a[8];
  m->min_ngram = a[9];
  m->max_ngram = a[10];
  if (m->n_buckets == 0 && (m->max_ngram > 0 || m->word_ngrams > 1))
    return fail (r, EVO_STORE_ERROR_FORMAT, "n-grams need at least one bucket");
  return TRUE;
}

/* ------------------------------------------------------------------ dictionary */

static gboolean
read_entry (Reader *r, EvoLid *m, gint32 i, gint64 *count)
{
  const guint8 *zero = memchr (r->p, '\0', left (r));
  gboolean is_label = FALSE;

  if (zero == NULL)
    return fail (r, EVO_STORE_ERROR_TRUNCATED, "entry %d does not end", i);
  m->texts[i] = g_strndup ((const char *) r->p, (gsize) (zero - r->p));
  r->p = zero + 1;
  if (!take (r, count, sizeof *count) || !take_flag (r, &is_label))
    return FALSE;
  if (is_label != (i >= m->n_words))
    return fail (r, EVO_STORE_ERROR_FORMAT, "entry %d: words must stand before labels", i);
  if (!g_hash_table_insert (m->words, m->texts[i], GINT_TO_POINTER (i + 1)))
    return fail (r, EVO_STORE_ERROR_FORMAT, "entry %d: a second entry of the same text", i);
  return TRUE;
}

/* Which buckets of n-grams a pruned model has kept. */
static gboolean
read_pruned (Reader *r, EvoLid *m, gint64 n)
{
  if (n < 0)
    return TRUE; /* nothing is pruned */
  if (!has (r, n, 8))
    return FALSE;
  m->pruned = g_new (gint32, MAX (m->n_buckets, 1));
  memset (m->pruned, 0xff, (gsize) MAX (m->n_buckets, 1) * sizeof (gint32));
  for (gint64 i = 0; i < n; i++) {
    gint32 pair[2];

    take (r, pair, sizeof pair);
    if (pair[0] < 0 || pair[0] >= m->n_buckets || pair[1] < 0 || pair[1] >= n)
      return fail (r, EVO_STORE_ERROR_FORMAT, "the kept n-gram %" G_GINT64_FORMAT " is %d -> %d; there are %d buckets, %" G_GINT64_FORMAT
                   " are kept", i, pair[0], pair[1], m->n_buckets, n);
    m->pruned[pair[0]] = pair[1];
  }
  return TRUE;
}

static void
join_nodes (EvoLidNode *tree, gint32 node, gint32 left_child, gint32 right_child)
{
  tree[node].left = left_child;
  tree[node].right = right_child;
  tree[node].count = tree[left_child].count + tree[right_child].count;
  tree[left_child].parent = tree[right_child].parent = node;
  tree[right_child].is_right = TRUE;
}

/* Huffman's tree over labels, whose counts fall: the rarest leaf or the oldest inner node, whichever has the smaller count. */
static gboolean
build_tree (Reader *r, EvoLid *m, const gint64 *counts)
{
  gint32 n = m->n_labels, leaf = n - 1, node = n;
  EvoLidNode *tree = m->tree = g_new (EvoLidNode, 2 * n - 1);

  for (gint32 i = 0; i < 2 * n - 1; i++)
    tree[i] = (EvoLidNode){ -1, -1, -1, i < n ? counts[i] : G_GINT64_CONSTANT (1000000000000000), FALSE };
  for (gint32 i = 0; i < n; i++)
    if (counts[i] < 0 || counts[i] > G_GINT64_CONSTANT (1000000000000) / n)
      return fail (r, EVO_STORE_ERROR_FORMAT, "label %d has the count %" G_GINT64_FORMAT, i, counts[i]);
  for (gint32 i = n; i < 2 * n - 1; i++) {
    gint32 two[2];

    for (guint j = 0; j < 2; j++)
      two[j] = leaf >= 0 && tree[leaf].count < tree[node].count ? leaf-- : node++;
    join_nodes (tree, i, two[0], two[1]);
  }
  return TRUE;
}

static gboolean
read_dictionary (Reader *r, EvoLid *m)
{
  gint32 sizes[3];
  gint64 tokens[2]; /* trained on, kept n-grams */
  g_autofree gint64 *counts = NULL;

  r->section = "dictionary";
  if (!take (r, sizes, sizeof sizes) || !take (r, tokens, sizeof tokens))
    return FALSE;
  if (sizes[1] < 0 || sizes[2] < 1 || sizes[2] > MAX_LABELS || (gint64) sizes[1] + sizes[2] != sizes[0])
    return fail (r, EVO_STORE_ERROR_FORMAT, "%d entries, %d words, %d labels", sizes[0], sizes[1], sizes[2]);
  if (!has (r, sizes[0], 10)) /* an entry has at least a NUL, a count, a type */
    return FALSE;
  m->n_words = sizes[1];
  m->n_labels = sizes[2];
  m->texts = g_new0 (char *, sizes[0] + 1);
  counts = g_new (gint64, sizes[0]);
  for (gint32 i = 0; i < sizes[0]; i++)
    if (!read_entry (r, m, i, &counts[i]))
      return FALSE;
  return read_pruned (r, m, tokens[1]) && (!m->is_tree || build_tree (r, m, counts + m->n_words));
}

/* ------------------------------------------------------------------ matrices */

static gboolean
read_quantizer (Reader *r, EvoLidQuantizer *q, gint32 dim)
{
  gint32 sizes[4]; /* dim, parts, length of a part, of the last one */

  if (!take (r, sizes, sizeof sizes))
    return FALSE;
  if (sizes[0] != dim || sizes[1] < 1 || sizes[2] < 1 || sizes[3] < 1 || sizes[3] > sizes[2] ||
      (gint64) (sizes[1] - 1) * sizes[2] + sizes[3] != dim)
    return fail (r, EVO_STORE_ERROR_FORMAT, "a quantiser of %d dimensions in %d parts of %d (the last of %d); there are %d dimensions",
                 sizes[0], sizes[1], sizes[2], sizes[3], dim);
  *q = (EvoLidQuantizer){ sizes[0], sizes[1], sizes[2], sizes[3], NULL };
  return take_floats (r, (gint64) dim * CENTROIDS, &q->centroids);
}

static gboolean
take_codes (Reader *r, gint64 n, guint8 **out)
{
  if (!has (r, n, 1))
    return FALSE;
  *out = g_malloc (MAX (n, 1));
  return take (r, *out, (gsize) n);
}

static gboolean
read_input (Reader *r, EvoLid *m)
{
  gboolean quantised = FALSE, has_norms = FALSE;
  gint64 shape[2];
  gint32 n_codes, kept = 0;

  r->section = "input matrix";
  if (!take_flag (r, &quantised))
    return FALSE;
  if (!quantised)
    return fail (r, EVO_STORE_ERROR_FORMAT, "it is not quantised; a .ftz model is expected");
  if (!take_flag (r, &has_norms) || !take (r, shape, sizeof shape) || !take (r, &n_codes, sizeof n_codes))
    return FALSE;
  for (gint32 i = 0; i < m->n_buckets; i++)
    kept = MAX (kept, m->pruned == NULL ? m->n_buckets : m->pruned[i] + 1);
  if (shape[0] < (gint64) m->n_words + kept || shape[0] > G_MAXINT32 || shape[1] != m->dim)
    return fail (r, EVO_STORE_ERROR_FORMAT, "%" G_GINT64_FORMAT " x %" G_GINT64_FORMAT "; at least %" G_GINT64_FORMAT " x %d is expected",
                 shape[0], shape[1], (gint64) m->n_words + kept, m->dim);
  m->n_rows = (gint32) shape[0];
  if (!take_codes (r, n_codes, &m->codes) || !read_quantizer (r, &m->q, m->dim))
    return FALSE;
  if ((gint64) m->n_rows * m->q.n_parts != n_codes)
    return fail (r, EVO_STORE_ERROR_FORMAT, "%d codes for %d rows in %d parts", n_codes, m->n_rows, m->q.n_parts);
  return !has_norms || (take_codes (r, m->n_rows, &m->norm_codes) && read_quantizer (r, &m->norms, 1));
}

static gboolean
read_output (Reader *r, EvoLid *m)
{
  gboolean quantised = FALSE;
  gint64 shape[2], least = m->is_tree ? m->n_labels - 1 : m->n_labels;

  r->section = "output matrix";
  if (!take_flag (r, &quantised))
    return FALSE;
  if (quantised)
    return fail (r, EVO_STORE_ERROR_FORMAT, "it is quantised (qout), which is not supported");
  if (!take (r, shape, sizeof shape))
    return FALSE;
  if (shape[0] < least || shape[0] > 2 * MAX_LABELS || shape[1] != m->dim)
    return fail (r, EVO_STORE_ERROR_FORMAT, "%" G_GINT64_FORMAT " x %" G_GINT64_FORMAT "; at least %" G_GINT64_FORMAT " x %d is expected",
                 shape[0], shape[1], least, m->dim);
  m->n_outputs = shape[0];
  if (!take_floats (r, shape[0] * shape[1], &m->output))
    return FALSE;
  if (left (r) > 0)
    return fail (r, EVO_STORE_ERROR_FORMAT, "%" G_GSIZE_FORMAT " bytes too many behind it", left (r));
  return TRUE;
}

/* ------------------------------------------------------------------ the file */

void
evo_lid_free (EvoLid *m)
{
  if (m == NULL)
    return;
  g_clear_pointer (&m->words, g_hash_table_unref);
  for (gint32 i = 0; m->texts != NULL && i < m->n_words + m->n_labels; i++)
    g_free (m->texts[i]);
  g_free (m->texts);
  g_free (m->pruned);
  g_free (m->codes);
  g_free (m->norm_codes);
  g_free (m->q.centroids);
  g_free (m->norms.centroids);
  g_free (m->output);
  g_free (m->tree);
  g_free (m);
}

EvoLid *
evo_lid_open (const char *path, GError **error)
{
  g_autoptr (GBytes) bytes = evo_small_file_read (path, MAX_BYTES, error);
  g_autoptr (EvoLid) m = g_new0 (EvoLid, 1);
  Reader r = { .path = path, .error = error };
  gsize n;

  if (bytes == NULL)
    return NULL;
  r.p = g_bytes_get_data (bytes, &n);
  r.end = r.p + n;
  m->words = g_hash_table_new (g_str_hash, g_str_equal);
  if (!read_arguments (&r, m) || !read_dictionary (&r, m) || !read_input (&r, m) || !read_output (&r, m))
    return NULL;
  return g_steal_pointer (&m);
}
