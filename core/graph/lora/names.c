/* SPDX-License-Identifier: Apache-2.0
 * names.c - what a tensor of an adapter is, told by its name: PEFT's, and the same with kohya's lora_down, lora_up and alpha.
 */
#include <string.h>

#include "core/graph/lora/adapter.h"

static const struct { const char *mark, *leaf; EvoLoraRole role; } marks[] = {
  { ".lora_A", "weight", EVO_LORA_A }, { ".lora_B", "weight", EVO_LORA_B }, { ".lora_B", "bias", EVO_LORA_BIAS },
  { ".lora_embedding_A", "", EVO_LORA_EMBED_A }, { ".lora_embedding_B", "", EVO_LORA_EMBED_B },
  { ".lora_magnitude_vector", "", EVO_LORA_MAGNITUDE }, { ".lora_magnitude_vector", "weight", EVO_LORA_MAGNITUDE },
  { ".lora_down", "weight", EVO_LORA_A }, { ".lora_up", "weight", EVO_LORA_B }, { ".alpha", "", EVO_LORA_ALPHA },
};

/* ".weight", or ".NAME.weight" with the adapter's name; an empty leaf: "" or ".NAME". */
static gboolean
is_rest (const char *rest, const char *leaf)
{
  const char *last = strrchr (rest, '.');

  if (*leaf == '\0')
    return *rest == '\0' || last == rest;
  return last != NULL && strcmp (last + 1, leaf) == 0 && (last == rest || (*rest == '.' && strchr (rest + 1, '.') == last));
}

static void
cut_out (char *name, const char *part)
{
  char *at = strstr (name, part);
  gsize n = strlen (part);

  if (at != NULL && (at[n] == '.' || at[n] == '\0'))
    memmove (at, at + n, strlen (at + n) + 1);
}

static char *
without_prefix (const char *name)
{
  static const char prefix[] = "base_model.model.";

  return g_strdup (g_str_has_prefix (name, prefix) ? name + strlen (prefix) : name);
}

/* A whole tensor: "model.norm.weight", perhaps with the wrappers' own names inside. */
static void
parse_saved (char *name, EvoLoraName *out)
{
  char *dot;

  cut_out (name, ".modules_to_save.default");
  cut_out (name, ".modules_to_save");
  cut_out (name, ".base_layer");
  dot = strrchr (name, '.');
  *out = (EvoLoraName){ EVO_LORA_SAVED, dot == NULL ? g_strdup (name) : g_strndup (name, (gsize) (dot - name)), g_strdup (name) };
}

gboolean
evo_lora_parse_name (const char *name, EvoLoraName *out)
{
  g_autofree char *own = without_prefix (name);

  for (guint i = 0; i < G_N_ELEMENTS (marks); i++) {
    char *at = g_strrstr (own, marks[i].mark);

    if (at == NULL || at == own || !is_rest (at + strlen (marks[i].mark), marks[i].leaf))
      continue;
    *at = '\0';
    *out = (EvoLoraName){ marks[i].role, g_strdup (own), g_strconcat (own, marks[i].role == EVO_LORA_BIAS ? ".bias" : ".weight", NULL) };
    return TRUE;
  }
  if (strstr (own, "lora_") != NULL || strstr (own, ".trainable_tokens") != NULL)
    return FALSE;
  parse_saved (own, out);
  return TRUE;
}

void
evo_lora_name_clear (EvoLoraName *n)
{
  g_clear_pointer (&n->module, g_free);
  g_clear_pointer (&n->tensor, g_free);
}
