/* SPDX-License-Identifier: Apache-2.0
 * extract.c - writes an adapter that turns a base into a model: which tensors are products, which are whole, and PEFT's files.
 */
#include "core/graph/lora/extract.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/graph/lora/factor.h"
#include "core/store/output.h"

typedef struct {
  EvoStore *model, *base;
  const EvoLayout *l;
  const EvoKernels *k;
  const EvoExtractOptions *o;
  guint *tensor, *theirs; guint n;  /* [n] of the layout: floating point, and where it is in the model */
  EvoFactors *factors;              /* [n] */
  EvoExtracted *said;               /* [n] */
} Extracting;

static const EvoShape *
shape_at (const Extracting *x, guint i)
{
  return &x->l->tensors[x->tensor[i]].shape;
}

/* ------------------------------------------------------------------ what there is */

/* In PEFT's names: without ".weight". Owned. */
static char *
module_of (const char *tensor)
{
  const char *dot = strrchr (tensor, '.');

  return dot == NULL ? g_strdup (tensor) : g_strndup (tensor, (gsize) (dot - tensor));
}

static gboolean
is_chosen (const EvoExtractOptions *o, const char *module)
{
  for (guint i = 0; o->modules[i] != NULL; i++)
    if (evo_glob_match (o->modules[i], module))
      return TRUE;
  return o->modules[0] == NULL;
}

/* Weights of linear layers: PEFT keeps embeddings' adapters otherwise, and few programs read them. */
static gboolean
is_linear (const EvoLayoutTensor *t)
{
  static const char *const embeddings[] = { "*wte.weight", "*wpe.weight", "*embed*.weight" };

  if (t->shape.n_dims != 2 || t->role.kind == EVO_ROLE_EMBED || !g_str_has_suffix (t->shape.name, ".weight"))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (embeddings); i++)
    if (evo_glob_match (embeddings[i], t->shape.name))
      return FALSE;
  return TRUE;
}

static gboolean
check_architecture (const Extracting *x, GError **error)
{
  static const char *const conv1d[] = { "gpt2", "openai-gpt", "imagegpt", "decision_transformer", NULL };
  const EvoJson *config = evo_store_get_config (x->base);
  const char *type = config == NULL ? NULL : evo_json_get_string (config, "model_type");

  return type == NULL || !g_strv_contains (conv1d, type) ||
         evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT, "%s: is of %s, whose Conv1D layers are kept transposed; adapters are made of models "
                        "with linear layers", evo_store_get_path (x->base), type);
}

static gboolean
check_shape (const Extracting *x, const EvoShape *s, int at, GError **error)
{
  const EvoShape *theirs = at < 0 ? NULL : evo_store_get_tensor (x->model, (guint) at);
  g_autofree char *a = NULL, *b = NULL;

  if (theirs == NULL)
    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: has no tensor \"%s\", %s has it", evo_store_get_path (x->model), s->name,
                          evo_store_get_path (x->base));
  if (evo_dtype_is_float (theirs->dtype) != evo_dtype_is_float (s->dtype))
    return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "\"%s\" is %s in %s and %s in %s; both must be floating point", s->name,
                          evo_dtype_name (theirs->dtype), evo_store_get_path (x->model), evo_dtype_name (s->dtype), evo_store_get_path (x->base));
  if (evo_shape_equal (theirs, s))
    return TRUE;
  a = evo_shape_text (theirs);
  b = evo_shape_text (s);
  return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "\"%s\" is %s in %s and %s in %s; an adapter changes no shapes", s->name, a,
                        evo_store_get_path (x->model), b, evo_store_get_path (x->base));
}

static gboolean
find_tensors (Extracting *x, GError **error)
{
  for (guint t = 0; t < x->l->n; t++) {
    const EvoShape *s = &x->l->tensors[t].shape;
    int at = evo_store_find (x->model, s->name);

    if (!check_shape (x, s, at, error))
      return FALSE;
    if (!evo_dtype_is_float (s->dtype))
      continue;
    x->tensor[x->n] = t;
    x->theirs[x->n++] = (guint) at;
  }
  for (guint i = 0; i < evo_store_get_n_tensors (x->model); i++) {
    const char *name = evo_store_get_tensor (x->model, i)->name;

    if (evo_store_find (x->base, name) < 0 && !evo_glob_match ("*.inv_freq", name) && !evo_glob_match ("*.masked_bias", name))
      return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SHAPE, "%s: has a tensor \"%s\" that %s has not; an adapter adds none",
                            evo_store_get_path (x->model), name, evo_store_get_path (x->base));
  }
  return TRUE;
}

/* ------------------------------------------------------------------ one tensor */

static gboolean
extract_one (gpointer data, gint64 item, guint thread, GError **error)
{
  Extracting *x = data;
  guint i = (guint) item;
  const EvoLayoutTensor *t = &x->l->tensors[x->tensor[i]];
  EvoExtracted *e = &x->said[i];
  g_autofree char *module = module_of (t->shape.name);

  e->tensor = t->shape.name;
  if (is_linear (t) && is_chosen (x->o, module)) {
    if (!evo_factor_change (x->model, x->theirs[i], x->base, (guint) t->stored, x->k, x->o, &x->factors[i], e, error))
      return FALSE;
    e->as = e->rank > 0 ? EVO_EXTRACTED_PRODUCT : EVO_EXTRACTED_SAME;
    return TRUE;
  }
  if (!evo_change_length (x->model, x->theirs[i], x->base, (guint) t->stored, x->k, &e->change, error))
    return FALSE;
  e->as = !(e->change > 0) ? EVO_EXTRACTED_SAME : x->o->save_rest ? EVO_EXTRACTED_SAVED : EVO_EXTRACTED_LEFT_OUT;
  e->error = e->as == EVO_EXTRACTED_LEFT_OUT ? e->change : 0;
  return TRUE;
}

/* ------------------------------------------------------------------ adapter_config.json */

/* The rank that most modules have. */
static gint64
common_rank (const Extracting *x)
{
  gint64 best = 1;
  guint most = 0;

  for (guint i = 0; i < x->n; i++) {
    guint n = 0;

    for (guint j = 0; x->said[i].rank > 0 && j < x->n; j++)
      n += x->said[j].rank == x->said[i].rank;
    if (n > most) {
      most = n;
      best = x->said[i].rank;
    }
  }
  return best;
}

static void
add_modules (EvoJsonWriter *w, const Extracting *x, const char *key, EvoExtractedAs as)
{
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  evo_json_add_key (w, key);
  evo_json_begin_array (w);
  for (guint i = 0; i < x->n; i++) {
    char *module = module_of (shape_at (x, i)->name);

    if (x->said[i].as != as || g_hash_table_contains (seen, module)) {
      g_free (module);
      continue;
    }
    evo_json_add_string (w, module);
    g_hash_table_add (seen, module);
  }
  evo_json_end_array (w);
}

/* The scale is alpha / r = 1 everywhere: both patterns say the same. */
static void
add_pattern (EvoJsonWriter *w, const Extracting *x, const char *key, gint64 r)
{
  evo_json_add_key (w, key);
  evo_json_begin_object (w);
  for (guint i = 0; i < x->n; i++) {
    g_autofree char *module = module_of (shape_at (x, i)->name);

    if (x->said[i].rank == 0 || x->said[i].rank == r)
      continue;
    evo_json_add_key (w, module);
    evo_json_add_integer (w, x->said[i].rank);
  }
  evo_json_end_object (w);
}

static const char *
task_of (const Extracting *x)
{
  const EvoJson *config = evo_store_get_config (x->base), *list = config == NULL ? NULL : evo_json_member (config, "architectures");
  const char *name = evo_json_size (list) == 0 ? NULL : evo_json_string (evo_json_at (list, 0));

  return name != NULL && g_str_has_suffix (name, "ForCausalLM") ? "CAUSAL_LM" : NULL;
}

static void
add_text (EvoJsonWriter *w, const char *key, const char *value)
{
  evo_json_add_key (w, key);
  evo_json_add_string (w, value);
}

static void
add_flag (EvoJsonWriter *w, const char *key, gboolean value)
{
  evo_json_add_key (w, key);
  evo_json_add_bool (w, value);
}

static GString *
write_config (const Extracting *x)
{
  GString *text = g_string_new (NULL);
  gint64 r = common_rank (x);
  EvoJsonWriter w;

  evo_json_writer_init (&w, text, TRUE);
  evo_json_begin_object (&w);
  add_text (&w, "peft_type", "LORA");
  add_text (&w, "task_type", task_of (x));
  add_text (&w, "base_model_name_or_path", x->o->base_name);
  add_flag (&w, "inference_mode", TRUE);
  evo_json_add_key (&w, "r");
  evo_json_add_integer (&w, r);
  evo_json_add_key (&w, "lora_alpha");
  evo_json_add_integer (&w, r);
  evo_json_add_key (&w, "lora_dropout");
  evo_json_add_number (&w, 0);
  add_pattern (&w, x, "rank_pattern", r);
  add_pattern (&w, x, "alpha_pattern", r);
  add_modules (&w, x, "target_modules", EVO_EXTRACTED_PRODUCT);
  add_modules (&w, x, "modules_to_save", EVO_EXTRACTED_SAVED);
  add_text (&w, "bias", "none");
  add_flag (&w, "fan_in_fan_out", FALSE);
  add_flag (&w, "use_rslora", FALSE);
  add_flag (&w, "use_dora", FALSE);
  add_flag (&w, "init_lora_weights", TRUE);
  evo_json_end_object (&w);
  g_string_append_c (text, '\n');
  return text;
}

/* ------------------------------------------------------------------ adapter_model.safetensors */

static EvoShape *
add_shape (GArray *shapes, char *name, EvoDtype dtype, const EvoShape *like, gint64 rows, gint64 cols)
{
  EvoShape s = like != NULL ? *like : (EvoShape){ .n_dims = 2, .dims = { rows, cols } };

  s.name = name;
  s.dtype = dtype;
  evo_shape_count (&s);
  g_array_append_val (shapes, s);
  return &g_array_index (shapes, EvoShape, shapes->len - 1);
}

static gboolean
plan (const Extracting *x, EvoOutput *out, GError **error)
{
  g_autoptr (GArray) shapes = g_array_new (FALSE, TRUE, sizeof (EvoShape));
  gboolean good;

  for (guint i = 0; i < x->n; i++) {
    const EvoFactors *f = &x->factors[i];
    g_autofree char *module = module_of (shape_at (x, i)->name);

    if (x->said[i].as == EVO_EXTRACTED_PRODUCT) {
      add_shape (shapes, g_strdup_printf ("base_model.model.%s.lora_A.weight", module), x->o->dtype, NULL, f->rank, f->n_cols);
      add_shape (shapes, g_strdup_printf ("base_model.model.%s.lora_B.weight", module), x->o->dtype, NULL, f->n_rows, f->rank);
    } else if (x->said[i].as == EVO_EXTRACTED_SAVED) {
      add_shape (shapes, g_strdup_printf ("base_model.model.%s", shape_at (x, i)->name), evo_store_get_tensor (x->model, x->theirs[i])->dtype,
                 evo_store_get_tensor (x->model, x->theirs[i]), 0, 0);
    }
  }
  evo_output_set_stem (out, "adapter_model");
  good = evo_output_plan (out, (const EvoShape *) shapes->data, shapes->len, G_MAXUINT64, error);
  for (guint i = 0; i < shapes->len; i++)
    g_free (g_array_index (shapes, EvoShape, i).name);
  return good;
}

static gboolean
write_floats (const Extracting *x, EvoOutput *out, guint at, const float *values, gint64 n, GError **error)
{
  gsize size = evo_dtype_size (x->o->dtype), step = 1 << 16;
  g_autofree guint64 *bytes = g_new (guint64, step);

  for (gsize first = 0; first < (gsize) n; first += step) {
    gsize m = MIN (step, (gsize) n - first);

    evo_dtype_from_f32 (x->k, bytes, x->o->dtype, values + first, m);
    if (!evo_output_write (out, at, first * size, bytes, m * size, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
write_tensors (const Extracting *x, EvoOutput *out, GError **error)
{
  guint at = 0;

  for (guint i = 0; i < x->n; i++) {
    const EvoFactors *f = &x->factors[i];

    if (x->said[i].as == EVO_EXTRACTED_PRODUCT) {
      if (!write_floats (x, out, at, f->a, f->rank * f->n_cols, error) || !write_floats (x, out, at + 1, f->b, f->n_rows * f->rank, error))
        return FALSE;
      at += 2;
    } else if (x->said[i].as == EVO_EXTRACTED_SAVED) {
      if (!evo_output_write (out, at++, 0, evo_store_peek (x->model, x->theirs[i]), evo_shape_bytes (evo_store_get_tensor (x->model, x->theirs[i])),
                             error) || !evo_store_check (x->model, x->theirs[i], error))
        return FALSE;
    }
  }
  return TRUE;
}

/* ------------------------------------------------------------------ all of it */

char *
evo_lora_extract_card (const GArray *extracted, const EvoExtractOptions *o)
{
  g_autofree char *title = g_path_get_basename (o->path);
  GString *t = g_string_new ("---\nlibrary_name: peft\ntags:\n- lora\n- evopipe\n---\n");

  g_string_append_printf (t, "# %s\n\nThe change from the base model to another, as products of low rank, made by evopipe %s.\n\n"
                          "`error` is the length of what the adapter misses of a tensor's change, over that of the change.\n\n"
                          "| tensor | kept as | error |\n|---|---|---|\n", title, EVO_VERSION);
  for (guint i = 0; i < extracted->len; i++) {
    const EvoExtracted *e = &g_array_index (extracted, EvoExtracted, i);

    if (e->as == EVO_EXTRACTED_SAME)
      continue;
    g_string_append_printf (t, "| %s | ", e->tensor);
    if (e->as == EVO_EXTRACTED_PRODUCT)
      g_string_append_printf (t, "rank %" G_GINT64_FORMAT, e->rank);
    else
      g_string_append (t, e->as == EVO_EXTRACTED_SAVED ? "whole" : "left out");
    g_string_append_printf (t, " | %.4g |\n", sqrt (e->error / e->change));
  }
  return g_string_free (t, FALSE);
}

static gboolean
write_adapter (const Extracting *x, const GArray *said, EvoOutput *out, GError **error)
{
  g_autoptr (GString) config = write_config (x);
  g_autofree char *card = evo_lora_extract_card (said, x->o);

  return plan (x, out, error) && write_tensors (x, out, error) &&
         evo_output_add_text (out, "adapter_config.json", config->str, (gssize) config->len, error) &&
         evo_output_add_text (out, "README.md", card, -1, error) && evo_output_commit (out, error);
}

static gboolean
is_any (const Extracting *x, EvoExtractedAs as)
{
  for (guint i = 0; i < x->n; i++)
    if (x->said[i].as == as)
      return TRUE;
  return FALSE;
}

static gboolean
extract (Extracting *x, const GArray *said, EvoPool *pool, GError **error)
{
  g_autoptr (EvoOutput) out = evo_output_new (x->o->path, x->o->replace, error);

  if (out == NULL || !check_architecture (x, error) || !evo_pool_run (pool, x->n, extract_one, x, error))
    return FALSE;
  if (!is_any (x, EVO_EXTRACTED_PRODUCT))
    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "%s and %s differ in no linear layer%s; there is nothing to extract",
                          evo_store_get_path (x->model), evo_store_get_path (x->base), x->o->modules[0] == NULL ? "" : " that --modules names");
  return write_adapter (x, said, out, error);
}

GArray *
evo_lora_extract (EvoStore *model, EvoStore *base, const EvoLayout *layout, const EvoKernels *k, EvoPool *pool, const EvoExtractOptions *o,
                  GError **error)
{
  g_autofree guint *tensor = g_new (guint, MAX (layout->n, 1)), *theirs = g_new (guint, MAX (layout->n, 1));
  g_autofree EvoFactors *factors = g_new0 (EvoFactors, MAX (layout->n, 1));
  g_autoptr (GArray) said = g_array_new (FALSE, TRUE, sizeof (EvoExtracted));
  Extracting x = { model, base, layout, k, o, tensor, theirs, 0, factors, NULL };
  gboolean good;

  if (!find_tensors (&x, error))
    return NULL;
  g_array_set_size (said, x.n);
  x.said = (EvoExtracted *) said->data;
  good = extract (&x, said, pool, error);
  for (guint i = 0; i < x.n; i++)
    evo_factors_clear (&factors[i]);
  return good ? g_steal_pointer (&said) : NULL;
}
