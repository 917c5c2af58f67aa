/* SPDX-License-Identifier: Apache-2.0
 * adapter.c - opens an adapter's directory and finds the tensor of the base that each of its tensors changes, from headers alone.
 */
#include "core/graph/lora/adapter.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/kernels/kernels.h"

typedef struct { EvoLora *lora; const EvoLayout *l; const EvoNode *base; GHashTable *index; } Matching;

static const EvoShape *
shape_of (const EvoLora *lora, gint at)
{
  return at < 0 ? NULL : evo_store_get_tensor (lora->store, (guint) at);
}

static gboolean
misfit (const EvoLora *lora, gint at, GError **error, const char *format, ...) G_GNUC_PRINTF (4, 5);

/* "FILE: "the adapter's tensor" what" */
static gboolean
misfit (const EvoLora *lora, gint at, GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: \"%s\" %s", evo_store_get_path (lora->store),
                        shape_of (lora, at)->name, what);
}

/* ------------------------------------------------------------------ which tensor of the base */

/* As it is called; or the adapter was made on a model with or without its head, which puts "model." before the names. */
static gint
find_target (const Matching *m, const char *name)
{
  g_autofree char *longer = g_strconcat ("model.", name, NULL);
  const char *names[] = { name, longer, g_str_has_prefix (name, "model.") ? name + strlen ("model.") : name };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    gpointer found = g_hash_table_lookup (m->index, names[i]);

    if (found != NULL)
      return GPOINTER_TO_INT (found) - 1;
  }
  return -1;
}

static gboolean
fail_unknown (const Matching *m, gint at, const char *tensor, GError **error)
{
  g_autofree const char **names = g_new0 (const char *, m->l->n + 1);
  g_autofree char *tail = NULL;

  for (guint i = 0; i < m->l->n; i++)
    names[i] = m->l->tensors[i].shape.name;
  tail = evo_did_you_mean (tensor, names);
  return misfit (m->lora, at, error, "belongs to \"%s\", which %s has not%s", tensor, m->base->name, *tail != '\0' ? tail :
                 g_str_has_prefix (tensor, "lm_head") ? "; its output matrix is the embedding" : "; the adapter is of another model");
}

static gboolean
add_tensor (const Matching *m, gint at, GError **error)
{
  const char *name = shape_of (m->lora, at)->name;
  EvoLoraName parsed = { 0 };
  EvoLoraPart *part;
  gboolean good;
  gint t;

  if (strchr (name, '.') != NULL && g_str_has_prefix (name, "lora_") && strchr (name, '.') == strstr (name, ".lora_"))
    return misfit (m->lora, at, error, "is named in kohya's way, in which _ may stand for a dot or for itself; convert the adapter to PEFT's names");
  if (!evo_lora_parse_name (name, &parsed))
    return misfit (m->lora, at, error, "is no tensor of LoRA's; lora_A, lora_B, lora_embedding_A, lora_embedding_B, lora_magnitude_vector and whole "
                   "tensors are read");
  t = find_target (m, parsed.tensor);
  part = t < 0 ? NULL : &m->lora->parts[t];
  if (part == NULL)
    good = fail_unknown (m, at, parsed.tensor, error);
  else if (part->at[parsed.role] >= 0)
    good = misfit (m->lora, at, error, "says again what \"%s\" says; a directory has one adapter", shape_of (m->lora, part->at[parsed.role])->name);
  else if (!evo_dtype_is_float (shape_of (m->lora, at)->dtype))
    good = misfit (m->lora, at, error, "is %s; an adapter is of floating point", evo_dtype_name (shape_of (m->lora, at)->dtype));
  else if (!evo_dtype_is_float (m->l->tensors[t].shape.dtype))
    good = misfit (m->lora, at, error, "belongs to \"%s\", which is %s in %s; only floating point can be changed", parsed.tensor,
                   evo_dtype_name (m->l->tensors[t].shape.dtype), m->base->name);
  else
    good = TRUE;
  if (good) {
    part->at[parsed.role] = at;
    if (part->module == NULL)
      part->module = g_steal_pointer (&parsed.module);
  }
  evo_lora_name_clear (&parsed);
  return good;
}

/* ------------------------------------------------------------------ shapes */

static gboolean
has_dims (const EvoShape *s, guint n_dims, const gint64 *dims)
{
  return s->n_dims == n_dims && (n_dims == 0 || memcmp (s->dims, dims, n_dims * sizeof *dims) == 0);
}

/* The adapter's tensor has these dimensions; else a sentence with those that would be right. */
static gboolean
check_dims (const Matching *m, gint at, guint t, guint n_dims, const gint64 *dims, GError **error)
{
  EvoShape right = { .n_dims = n_dims };
  g_autofree char *is = NULL, *should = NULL, *target = NULL;

  if (has_dims (shape_of (m->lora, at), n_dims, dims))
    return TRUE;
  memcpy (right.dims, dims, n_dims * sizeof *dims);
  is = evo_shape_text (shape_of (m->lora, at));
  should = evo_shape_text (&right);
  target = evo_shape_text (&m->l->tensors[t].shape);
  return misfit (m->lora, at, error, "is %s; %s is right for \"%s\", which is %s in %s", is, should, m->l->tensors[t].shape.name, target,
                 m->base->name);
}

static gboolean
fits_linear (const Matching *m, const EvoLoraPart *p, const EvoShape *w, gboolean transposed)
{
  const EvoShape *a = shape_of (m->lora, p->at[EVO_LORA_A]), *b = shape_of (m->lora, p->at[EVO_LORA_B]);

  return a->n_dims == 2 && b->n_dims == 2 && a->dims[1] == w->dims[transposed ? 0 : 1] && b->dims[0] == w->dims[transposed ? 1 : 0];
}

/* GPT-2's Conv1D keeps its weights as [in, out]. PEFT says so in fan_in_fan_out, or finds it out itself and does not say; where a matrix is square
 * only the configuration or the other matrices tell. */
static gboolean
has_conv1d (const Matching *m)
{
  for (guint t = 0; t < m->l->n; t++) {
    const EvoLoraPart *p = &m->lora->parts[t];
    const EvoShape *w = &m->l->tensors[t].shape;

    if (p->at[EVO_LORA_A] >= 0 && p->at[EVO_LORA_B] >= 0 && w->n_dims == 2 && !fits_linear (m, p, w, FALSE) && fits_linear (m, p, w, TRUE))
      return TRUE;
  }
  return m->lora->config->fan_in_fan_out;
}

static gboolean
check_pair (const Matching *m, guint t, gint *a, gint *b, GError **error)
{
  EvoLoraPart *p = &m->lora->parts[t];
  gboolean embeds = p->at[EVO_LORA_EMBED_A] >= 0 || p->at[EVO_LORA_EMBED_B] >= 0;

  *a = p->at[embeds ? EVO_LORA_EMBED_A : EVO_LORA_A];
  *b = p->at[embeds ? EVO_LORA_EMBED_B : EVO_LORA_B];
  if (embeds && (p->at[EVO_LORA_A] >= 0 || p->at[EVO_LORA_B] >= 0))
    return misfit (m->lora, *a >= 0 ? *a : *b, error, "stands beside a lora_A or lora_B of the same module; it has one or the other");
  if (*a >= 0 && *b < 0)
    return misfit (m->lora, *a, error, "has no %s beside it", embeds ? "lora_embedding_B" : "lora_B");
  if (*a < 0 && *b >= 0)
    return misfit (m->lora, *b, error, "has no %s beside it", embeds ? "lora_embedding_A" : "lora_A");
  p->transposed = embeds;
  return TRUE;
}

static gboolean
check_product (const Matching *m, guint t, gint a, gint b, gboolean conv1d, GError **error)
{
  EvoLoraPart *p = &m->lora->parts[t];
  const EvoShape *w = &m->l->tensors[t].shape;
  gint64 r = evo_lora_config_rank (m->lora->config, p->module), left[EVO_MAX_DIMS], right[EVO_MAX_DIMS];

  if (w->n_dims < 2 || (p->transposed && w->n_dims != 2))
    return misfit (m->lora, a, error, "belongs to \"%s\", which is no matrix in %s", w->name, m->base->name);
  if (p->at[EVO_LORA_ALPHA] >= 0 && shape_of (m->lora, a)->n_dims > 0)
    r = shape_of (m->lora, a)->dims[0]; /* kohya's tensors say it themselves */
  if (!p->transposed && w->n_dims == 2)
    p->transposed = conv1d && fits_linear (m, p, w, TRUE);
  for (guint d = 0; d < w->n_dims; d++) {
    left[d] = d == 0 ? w->dims[0] : d == 1 ? r : 1;
    right[d] = d == 0 ? r : w->dims[d];
  }
  if (p->transposed) {
    right[1] = w->dims[0];
    left[0] = w->dims[1];
  }
  p->rank = r;
  return check_dims (m, a, t, w->n_dims, right, error) && check_dims (m, b, t, w->n_dims, left, error);
}

static gboolean
read_alpha (const EvoLora *lora, gint at, double *out, GError **error)
{
  float x;

  if (shape_of (lora, at)->n != 1)
    return misfit (lora, at, error, "is no single number; an alpha is one");
  if (!evo_store_read (lora->store, evo_kernels_get (), (guint) at, 0, 1, &x, error))
    return FALSE;
  *out = x;
  return isfinite (x) || misfit (lora, at, error, "is not finite");
}

gboolean
evo_lora_is_embedding (const EvoLoraPart *p)
{
  return p->at[EVO_LORA_EMBED_A] >= 0;
}

gint64
evo_lora_n_lengths (const EvoLoraPart *p)
{
  return evo_lora_is_embedding (p) ? p->n_cols : p->n_rows;
}

static gboolean
check_magnitude (const Matching *m, guint t, GError **error)
{
  const EvoLoraPart *p = &m->lora->parts[t];
  gint at = p->at[EVO_LORA_MAGNITUDE];
  gint64 n = evo_lora_n_lengths (p);

  if (at < 0)
    return p->rank == 0 || !m->lora->config->dora || p->at[EVO_LORA_A] < 0 ||
           misfit (m->lora, p->at[EVO_LORA_A], error, "has no lora_magnitude_vector beside it, though use_dora is set");
  if (p->rank == 0)
    return misfit (m->lora, at, error, "has no lora_A and lora_B beside it");
  if (p->transposed && p->at[EVO_LORA_A] >= 0)
    return misfit (m->lora, at, error, "is of a Conv1D; DoRA is read of linear layers, convolutions and embeddings");
  return shape_of (m->lora, at)->n == n || check_dims (m, at, t, 1, &n, error);
}

/* The bias that lora_bias trains belongs to another tensor than its module's matrices, whose scaling it shares. */
static gboolean
check_bias (const Matching *m, guint t, GError **error)
{
  EvoLoraPart *p = &m->lora->parts[t];
  g_autofree char *weight = g_strconcat (p->module, ".weight", NULL);
  gint of = find_target (m, weight);
  const EvoLoraPart *product = of < 0 ? NULL : &m->lora->parts[of];

  if (product == NULL || product->rank == 0)
    return misfit (m->lora, p->at[EVO_LORA_BIAS], error, "has no lora_A and lora_B beside it");
  if (!check_dims (m, p->at[EVO_LORA_BIAS], t, 1, product->transposed ? &product->n_cols : &product->n_rows, error) ||
      !check_dims (m, p->at[EVO_LORA_BIAS], t, m->l->tensors[t].shape.n_dims, m->l->tensors[t].shape.dims, error))
    return FALSE;
  p->n_rows = p->n_rows * p->n_cols;
  p->n_cols = 1;
  p->rank = 1;
  p->scaling = product->scaling;
  return TRUE;
}

static gboolean
check_part (const Matching *m, guint t, gboolean conv1d, GError **error)
{
  EvoLoraPart *p = &m->lora->parts[t];
  const EvoShape *w = &m->l->tensors[t].shape;
  double alpha = NAN;
  gint a, b;

  p->n_rows = w->n_dims < 2 ? 1 : w->dims[0];
  p->n_cols = p->n_rows == 0 ? 0 : w->n / p->n_rows;
  if (!check_pair (m, t, &a, &b, error) || (a >= 0 && !check_product (m, t, a, b, conv1d, error)))
    return FALSE;
  if (p->at[EVO_LORA_ALPHA] >= 0 && a < 0)
    return misfit (m->lora, p->at[EVO_LORA_ALPHA], error, "has no lora_down and lora_up beside it");
  if (p->at[EVO_LORA_ALPHA] >= 0 && !read_alpha (m->lora, p->at[EVO_LORA_ALPHA], &alpha, error))
    return FALSE;
  if (p->rank > 0)
    p->scaling = evo_lora_config_scaling (m->lora->config, p->module, alpha, p->rank);
  if (p->at[EVO_LORA_SAVED] >= 0 && !check_dims (m, p->at[EVO_LORA_SAVED], t, w->n_dims, w->dims, error))
    return FALSE;
  return check_magnitude (m, t, error);
}

static gboolean
match (const Matching *m, GError **error)
{
  gboolean conv1d;

  for (guint i = 0; i < evo_store_get_n_tensors (m->lora->store); i++)
    if (!add_tensor (m, (gint) i, error))
      return FALSE;
  conv1d = has_conv1d (m);
  for (guint t = 0; t < m->l->n; t++)
    if (m->lora->parts[t].module != NULL && !check_part (m, t, conv1d, error))
      return FALSE;
  for (guint t = 0; t < m->l->n; t++)
    if (m->lora->parts[t].at[EVO_LORA_BIAS] >= 0 && !check_bias (m, t, error))
      return FALSE;
  return TRUE;
}

/* ------------------------------------------------------------------ opening */

static EvoStore *
open_tensors (const char *folder, GError **error)
{
  g_autofree char *path = g_build_filename (folder, "adapter_model.safetensors", NULL), *pickle = g_build_filename (folder, "adapter_model.bin", NULL);

  if (!g_file_test (path, G_FILE_TEST_EXISTS) && g_file_test (pickle, G_FILE_TEST_EXISTS)) {
    evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "%s: is a pickle, which is not read; save the adapter as safetensors "
                   "(PEFT: save_pretrained with safe_serialization)", pickle);
    return NULL;
  }
  return evo_store_open (path, error);
}

static gboolean
open_files (EvoLora *lora, const char *folder, GError **error)
{
  g_autofree char *config = g_build_filename (folder, "adapter_config.json", NULL);

  if (!g_file_test (folder, G_FILE_TEST_IS_DIR))
    return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, "%s: is no directory; an adapter is one, with adapter_config.json and "
                          "adapter_model.safetensors", folder);
  lora->config = evo_lora_config_read (config, error);
  lora->store = lora->config == NULL ? NULL : open_tensors (folder, error);
  return lora->store != NULL;
}

EvoLora *
evo_lora_open (const EvoLayout *l, const EvoNode *node, GError **error)
{
  const EvoParam *p = evo_param_find (node->plugin->op->params, "path");
  const char *folder = *(const char *const *) ((const char *) node->params + p->offset);
  g_autoptr (GHashTable) index = g_hash_table_new (g_str_hash, g_str_equal);
  g_autofree char *where = evo_json_where (node->where);
  g_autoptr (EvoLora) lora = g_new0 (EvoLora, 1);
  Matching m = { lora, l, node->base.from, index };

  lora->n = l->n;
  lora->parts = g_new0 (EvoLoraPart, MAX (l->n, 1));
  for (guint t = 0; t < l->n; t++) {
    memset (lora->parts[t].at, 0xff, sizeof lora->parts[t].at); /* -1 */
    g_hash_table_insert (index, l->tensors[t].shape.name, GINT_TO_POINTER ((gint) t + 1));
  }
  if (!open_files (lora, folder, error) || !match (&m, error)) {
    g_prefix_error (error, "%s: ", where);
    return NULL;
  }
  return g_steal_pointer (&lora);
}

void
evo_lora_free (EvoLora *lora)
{
  if (lora == NULL)
    return;
  for (guint t = 0; t < lora->n; t++)
    g_free (lora->parts[t].module);
  g_free (lora->parts);
  g_clear_pointer (&lora->config, evo_lora_config_free);
  g_clear_pointer (&lora->store, evo_store_unref);
  g_free (lora);
}

EvoStore *
evo_lora_get_store (const EvoLora *lora)
{
  return lora->store;
}

char *
evo_lora_dup_folder (const EvoLora *lora)
{
  return g_path_get_dirname (lora->config->path);
}

const char *
evo_lora_get_config (const EvoLora *lora)
{
  return lora->config->path;
}

/* All of them: an operator that measures a model as one has all its tensors prepared at once. */
guint64
evo_lora_bound (const EvoLora *lora)
{
  guint64 numbers = 0;

  for (guint t = 0; t < lora->n; t++) {
    const EvoLoraPart *p = &lora->parts[t];

    numbers += (guint64) p->rank * (guint64) (p->n_rows + p->n_cols) + (p->at[EVO_LORA_MAGNITUDE] >= 0 ? (guint64) evo_lora_n_lengths (p) * 2 : 0);
  }
  return numbers * sizeof (float);
}
