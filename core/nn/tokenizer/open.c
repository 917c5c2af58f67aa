/* SPDX-License-Identifier: Apache-2.0
 * open.c - the tokenizer of a model directory.
 *
 * tokenizer.json says everything. A tokenizer.model knows nothing of the tokens that were added to it, and does not look for control tokens
 * in a text; tokenizer_config.json (else added_tokens.json) beside it does.
 */
#include "core/base/error.h"
#include "core/nn/tokenizer/impl.h"
#include "core/store/index.h"

static gboolean
exists (const char *directory, const char *name, char **path)
{
  g_free (*path);
  *path = g_build_filename (directory, name, NULL);
  return evo_file_exists (directory, name);
}

/* {"32000": {"content": "<|im_end|>", "special": true, …}, …} */
static gboolean
read_decoder_table (EvoTokenizer *t, const EvoJson *table, GError **error)
{
  for (guint i = 0; table != NULL && i < evo_json_size (table); i++) {
    const EvoJson *v = evo_json_at (table, i);
    const char *key = evo_json_key (v);
    guint64 id;

    if (key == NULL || !g_ascii_string_to_unsigned (key, 10, 0, EVO_VOCAB_MAX_ID - 1, &id, NULL))
      return evo_tokenizer_fail (v, error, "a token's id is a whole number from 0 to %d", EVO_VOCAB_MAX_ID - 1);
    if (!evo_tokenizer_read_added (t, v, (gint32) id, error))
      return FALSE;
  }
  return TRUE;
}

/* {"<|im_end|>": 32000, …} */
static gboolean
read_added_table (EvoTokenizer *t, const EvoJson *table, GError **error)
{
  for (guint i = 0; i < evo_json_size (table); i++) {
    const EvoJson *v = evo_json_at (table, i);
    EvoAddedToken token = { .special = TRUE, .text = (char *) evo_json_key (v) };
    g_autofree char *why = NULL;

    if (!evo_tokenizer_read_id (v, &token.id, error))
      return FALSE;
    if (token.text == NULL || *token.text == '\0')
      return evo_tokenizer_fail (v, error, "an added token without a text");
    token.n = strlen (token.text);
    if (!evo_tokenizer_add (t, token, &why))
      return evo_tokenizer_fail (v, error, "%s", why);
  }
  return TRUE;
}

static EvoJsonDoc *
parse (const char *path, GError **error)
{
  return evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, error);
}

static gboolean
read_added_tokens (EvoTokenizer *t, const char *directory, const EvoJson *config, GError **error)
{
  const EvoJson *table = evo_json_member (config, "added_tokens_decoder");
  g_autofree char *path = NULL;
  g_autoptr (EvoJsonDoc) doc = NULL;

  if (table != NULL)
    return read_decoder_table (t, table, error);
  if (!exists (directory, "added_tokens.json", &path))
    return TRUE;
  doc = parse (path, error);
  return doc != NULL && read_added_table (t, evo_json_root (doc), error);
}

/* A beginning is put unless the configuration says no, an end only if it says yes: the defaults of the Llama tokenizer. */
static EvoTokenizer *
open_model (const char *directory, const char *model, GError **error)
{
  g_autofree char *path = NULL;
  g_autoptr (EvoJsonDoc) doc = NULL;
  g_autoptr (EvoTokenizer) t = NULL;
  const EvoJson *config = NULL;
  gboolean add_bos = TRUE, add_eos = FALSE;

  if (exists (directory, "tokenizer_config.json", &path)) {
    doc = parse (path, error);
    if (doc == NULL)
      return NULL;
    config = evo_json_root (doc);
  }
  if (!evo_tokenizer_read_bool (config, "add_bos_token", &add_bos, error) ||
      !evo_tokenizer_read_bool (config, "add_eos_token", &add_eos, error))
    return NULL;
  t = evo_tokenizer_new_from_spm_file (model, add_bos, add_eos, error);
  if (t == NULL || !read_added_tokens (t, directory, config, error))
    return NULL;
  evo_tokenizer_index_added (t);
  evo_tokenizer_count (t);
  return g_steal_pointer (&t);
}

EvoTokenizer *
evo_tokenizer_open (const char *directory, GError **error)
{
  g_autofree char *path = NULL;

  if (exists (directory, "tokenizer.json", &path))
    return evo_tokenizer_new_from_json_file (path, error);
  return exists (directory, "tokenizer.model", &path) ? open_model (directory, path, error) : NULL;
}
