/* SPDX-License-Identifier: Apache-2.0
 * chat.c - chat templates by name, and those that models bring.
 *
 * The formats are those that the models' makers published: ChatML (OpenAI), Alpaca (Taori et al. 2023), Llama 3, Mistral instruct, EXAONE 3.
 */
#include <string.h>

#include "core/base/error.h"
#include "core/graph/vocab/vocab.h"

static const struct { const char *name, *text; } templates[] = {
  { "alpaca",
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content ~ '\\n\\n' }}{% elif m.role == 'user' %}{{ '### Instruction:\\n' ~ m.content ~ '\\n\\n' }}"
    "{% else %}{{ '### Response:\\n' ~ m.content ~ eos_token ~ '\\n\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}" },
  { "chatml",
    "{% for m in messages %}{{ '<|im_start|>' ~ m.role ~ '\\n' ~ m.content ~ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}" },
  { "exaone",
    "{% for m in messages %}{% if m.role == 'user' %}{{ '[|user|]' ~ m.content ~ '\\n' }}{% else %}{{ '[|' ~ m.role ~ '|]' ~ m.content ~ '[|endofturn|]\\n' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '[|assistant|]' }}{% endif %}" },
  { "llama3",
    "{{ '<|begin_of_text|>' }}{% for m in messages %}{{ '<|start_header_id|>' ~ m.role ~ '<|end_header_id|>\\n\\n' ~ m.content | trim ~ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}" },
  { "mistral",
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{{ ' ' ~ m.content ~ eos_token }}{% else %}{{ '[INST] ' ~ m.content ~ ' [/INST]' }}"
    "{% endif %}{% endfor %}" },
};
const char *const evo_chat_names[] = { "auto", "alpaca", "chatml", "exaone", "llama3", "mistral", NULL };

const char *
evo_chat_named (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (templates); i++)
    if (strcmp (templates[i].name, name) == 0)
      return templates[i].text;
  return NULL;
}

/* A text, or a list of {"name", "template"}, of which "default" counts. */
static char *
template_of (const EvoJson *v)
{
  if (v == NULL)
    return NULL;
  for (guint i = 0; evo_json_kind (v) == EVO_JSON_ARRAY && i < evo_json_size (v); i++)
    if (g_strcmp0 (evo_json_get_string (evo_json_at (v, i), "name"), "default") == 0)
      return g_strdup (evo_json_get_string (evo_json_at (v, i), "template"));
  return g_strdup (evo_json_string (v));
}

char *
evo_chat_of_folder (const char *folder)
{
  g_autofree char *jinja = g_build_filename (folder, "chat_template.jinja", NULL), *config = g_build_filename (folder, "tokenizer_config.json", NULL);
  g_autoptr (EvoJsonDoc) doc = NULL;
  char *text;
  gsize n;

  if (g_file_get_contents (jinja, &text, &n, NULL)) {
    if (g_utf8_validate (text, (gssize) n, NULL))
      return text;
    g_free (text);
  }
  doc = evo_json_parse_file (config, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, NULL);
  return doc == NULL ? NULL : template_of (evo_json_member (evo_json_root (doc), "chat_template"));
}

static char *
template_of_input (const EvoModels *m, const EvoNode *from)
{
  const EvoLayout *l = evo_models_get_layout (m, from);
  g_autofree char *folder = NULL;
  char *text;

  if (l->chat_template != NULL)
    return g_strdup (l->chat_template);
  folder = evo_vocab_dup_folder (m, from);
  text = folder == NULL ? NULL : evo_chat_of_folder (folder);
  return text == NULL ? NULL : g_strstrip (text);
}

static char *
most_frequent (const GPtrArray *all)
{
  guint best = 0, most = 0;

  for (guint i = 0; i < all->len; i++) {
    guint n = 0;

    for (guint k = 0; k < all->len; k++)
      n += g_str_equal (all->pdata[i], all->pdata[k]);
    if (n > most) {
      most = n;
      best = i;
    }
  }
  return most == 0 ? NULL : g_strdup (all->pdata[best]);
}

char *
evo_chat_resolve (const EvoModels *m, const EvoNode *node)
{
  g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func (g_free), seen = g_ptr_array_new ();
  const char *named = evo_chat_named (node->chat_template);

  if (!g_str_equal (node->chat_template, "auto"))
    return g_strdup (named != NULL ? named : node->chat_template);
  for (guint e = 0; e <= node->n_in; e++) {
    const EvoNode *from = e == 0 ? node->base.from : node->in[e - 1].from;
    char *text = from == NULL || g_ptr_array_find (seen, from, NULL) ? NULL : template_of_input (m, from);

    g_ptr_array_add (seen, (gpointer) from);
    if (text != NULL && *text != '\0')
      g_ptr_array_add (all, text);
    else
      g_free (text);
  }
  return most_frequent (all);
}
