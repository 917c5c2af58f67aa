/* SPDX-License-Identifier: Apache-2.0
 * config.c - adapter_config.json: what PEFT's LoRA says of ranks and scales, and what of it cannot be applied to weights.
 */
#include <math.h>
#include <string.h>

#include "core/graph/lora/adapter.h"
#include "core/graph/read/read.h"

enum { MOST_RANK = 1 << 20, MOST_KEY = 1000 };

#define BAD EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT /* what is wrong with any of it */

/* ------------------------------------------------------------------ patterns */

static void
pattern_clear (gpointer data)
{
  EvoLoraPattern *p = data;

  g_free (p->key);
  g_clear_pointer (&p->regex, g_regex_unref);
}

static gboolean
check_rank (const EvoJson *v, gint64 *out, GError **error)
{
  if (evo_json_kind (v) == EVO_JSON_NUMBER && evo_json_is_integer (v, out) && *out >= 1 && *out <= MOST_RANK)
    return TRUE;
  return evo_fail_at (error, v, BAD, "a rank is a whole number from 1 to %d", MOST_RANK);
}

static gboolean
check_alpha (const EvoJson *v, double *out, GError **error)
{
  if (evo_json_kind (v) != EVO_JSON_NUMBER)
    return evo_fail_at (error, v, BAD, "an alpha is a number, not %s", evo_json_kind_name (evo_json_kind (v)));
  *out = evo_json_number (v);
  return TRUE;
}

static gboolean
read_pattern (const EvoJson *v, gboolean is_rank, GArray *out, GError **error)
{
  g_autofree char *text = g_strdup_printf ("^(.*\\.)?(%s)$", evo_json_key (v));
  g_autoptr (GError) why = NULL;
  EvoLoraPattern p = { NULL };
  gint64 rank = 0;

  if (!(is_rank ? check_rank (v, &rank, error) : check_alpha (v, &p.value, error)))
    return FALSE;
  if (is_rank)
    p.value = (double) rank;
  if (strlen (evo_json_key (v)) > MOST_KEY)
    return evo_fail_at (error, v, BAD, "a pattern of more than %d bytes is not read", MOST_KEY);
  p.regex = g_regex_new (text, 0, 0, &why);
  if (p.regex == NULL)
    return evo_fail_at (error, v, BAD, "is no regular expression: %s", why->message);
  p.key = g_strdup (evo_json_key (v));
  g_array_append_val (out, p);
  return TRUE;
}

static gboolean
read_patterns (const EvoJson *root, const char *key, gboolean is_rank, GArray *out, GError **error)
{
  const EvoJson *v = evo_json_member (root, key);

  if (v == NULL || evo_json_kind (v) == EVO_JSON_NULL)
    return TRUE;
  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return evo_fail_at (error, v, BAD, "needs an object of numbers by module, not %s", evo_json_kind_name (evo_json_kind (v)));
  for (guint i = 0; i < evo_json_size (v); i++)
    if (!read_pattern (evo_json_at (v, i), is_rank, out, error))
      return FALSE;
  return TRUE;
}

/* The first that matches the name or its end after a dot (peft.utils.other.get_pattern_key). */
static double
find_pattern (const GArray *patterns, const char *module, double other)
{
  for (guint i = 0; i < patterns->len; i++) {
    const EvoLoraPattern *p = &g_array_index (patterns, EvoLoraPattern, i);

    if (strcmp (p->key, module) == 0 || g_regex_match (p->regex, module, 0, NULL))
      return p->value;
  }
  return other;
}

/* ------------------------------------------------------------------ what cannot be applied */

static gboolean
is_given (const EvoJson *v)
{
  switch (v == NULL ? EVO_JSON_NULL : evo_json_kind (v)) {
    case EVO_JSON_NULL: return FALSE;
    case EVO_JSON_BOOL: return evo_json_bool (v);
    case EVO_JSON_ARRAY: case EVO_JSON_OBJECT: return evo_json_size (v) > 0;
    default: return TRUE;
  }
}

static gboolean
check_type (const EvoJson *root, GError **error)
{
  const char *type = evo_json_get_string (root, "peft_type");
  g_autofree char *quoted = type == NULL ? NULL : evo_json_quoted (type);

  if (type == NULL)
    return evo_fail_at (error, root, BAD, "has no \"peft_type\"; an adapter_config.json of PEFT says \"LORA\"");
  return strcmp (type, "LORA") == 0 || evo_fail_at (error, evo_json_member (root, "peft_type"), BAD, "%s is no LoRA; only peft_type \"LORA\" is read", quoted);
}

static gboolean
check_features (const EvoJson *root, GError **error)
{
  static const struct { const char *key, *why; } refused[] = {
    { "layer_replication", "the adapter is of a model with repeated layers; make that with merge.layer-path and name it as base, without this key" },
    { "target_parameters", "adapters of single parameters (experts) are not read; only those of modules are" },
    { "trainable_token_indices", "trained tokens are not read; save them whole, by modules_to_save" },
    { "alora_invocation_tokens", "an activated LoRA changes the model from a token on; it has no weights of its own" },
    { "use_qalora", "QALoRA's grouped inputs are not read; only plain LoRA, rsLoRA and DoRA are" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (refused); i++)
    if (is_given (evo_json_member (root, refused[i].key)))
      return evo_fail_at (error, evo_json_member (root, refused[i].key), BAD, "%s", refused[i].why);
  return TRUE;
}

/* These ways to begin subtract something from the base's weights: the adapter alone is a change of that, not of the base. */
static gboolean
check_init (const EvoJson *root, GError **error)
{
  static const char *const changing[] = { "pissa", "olora", "corda", "loftq", "lora_ga" };
  const char *init = evo_json_get_string (root, "init_lora_weights");

  for (guint i = 0; init != NULL && i < G_N_ELEMENTS (changing); i++)
    if (g_str_has_prefix (init, changing[i]))
      return evo_fail_at (error, evo_json_member (root, "init_lora_weights"), BAD, "%s begins by changing the base, so the adapter does not fit the base itself; "
                   "save it converted (PEFT: path_initial_model_for_weight_conversion)", changing[i]);
  return TRUE;
}

/* ------------------------------------------------------------------ reading */

static gboolean
read_numbers (const EvoJson *root, EvoLoraConfig *c, GError **error)
{
  const EvoJson *r = evo_json_member (root, "r"), *alpha = evo_json_member (root, "lora_alpha");

  if (r == NULL || alpha == NULL)
    return evo_fail_at (error, root, BAD, "has no \"%s\"; the scale is lora_alpha / r", r == NULL ? "r" : "lora_alpha");
  return check_rank (r, &c->r, error) && check_alpha (alpha, &c->alpha, error);
}

EvoLoraConfig *
evo_lora_config_read (const char *path, GError **error)
{
  g_autoptr (EvoLoraConfig) c = g_new0 (EvoLoraConfig, 1);
  g_autoptr (EvoJsonDoc) doc = NULL;
  const EvoJson *root;

  c->path = g_strdup (path);
  c->ranks = g_array_new (FALSE, FALSE, sizeof (EvoLoraPattern));
  c->alphas = g_array_new (FALSE, FALSE, sizeof (EvoLoraPattern));
  g_array_set_clear_func (c->ranks, pattern_clear);
  g_array_set_clear_func (c->alphas, pattern_clear);
  doc = evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, error);
  if (doc == NULL)
    return NULL;
  root = evo_json_root (doc);
  if (!check_type (root, error) || !check_features (root, error) || !check_init (root, error) || !read_numbers (root, c, error) ||
      !read_patterns (root, "rank_pattern", TRUE, c->ranks, error) || !read_patterns (root, "alpha_pattern", FALSE, c->alphas, error))
    return NULL;
  c->rslora = evo_json_get_bool (root, "use_rslora", FALSE);
  c->dora = evo_json_get_bool (root, "use_dora", FALSE);
  c->fan_in_fan_out = evo_json_get_bool (root, "fan_in_fan_out", FALSE);
  return g_steal_pointer (&c);
}

void
evo_lora_config_free (EvoLoraConfig *c)
{
  if (c == NULL)
    return;
  g_free (c->path);
  g_array_unref (c->ranks);
  g_array_unref (c->alphas);
  g_free (c);
}

gint64
evo_lora_config_rank (const EvoLoraConfig *c, const char *module)
{
  return (gint64) find_pattern (c->ranks, module, (double) c->r);
}

double
evo_lora_config_scaling (const EvoLoraConfig *c, const char *module, double alpha, gint64 rank)
{
  double a = isnan (alpha) ? find_pattern (c->alphas, module, c->alpha) : alpha;

  return a / (c->rslora ? sqrt ((double) rank) : (double) rank);
}
