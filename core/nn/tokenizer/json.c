/* SPDX-License-Identifier: Apache-2.0
 * json.c - tokenizer.json of the Hugging Face library: model, added tokens, template.
 *
 * "truncation" and "padding" are left alone: a caller of the reference library sets them for each use, and nothing here may cut a text.
 */
#include "core/base/error.h"
#include "core/nn/tokenizer/impl.h"

static gboolean
is_null (const EvoJson *v)
{
  return v == NULL || evo_json_kind (v) == EVO_JSON_NULL;
}

gboolean
evo_tokenizer_read_id (const EvoJson *v, gint32 *out, GError **error)
{
  gint64 id;

  if (!evo_json_is_integer (v, &id) || id < 0 || id >= EVO_VOCAB_MAX_ID)
    return evo_tokenizer_fail (v, error, "a token's id is a whole number from 0 to %d", EVO_VOCAB_MAX_ID - 1);
  *out = (gint32) id;
  return TRUE;
}

/* A member of the model that must be there, of that kind. */
static const EvoJson *
need (const EvoJson *model, const char *key, EvoJsonKind kind, GError **error)
{
  const EvoJson *v = evo_json_member (model, key);

  if (v == NULL || evo_json_kind (v) != kind) {
    evo_tokenizer_fail (v == NULL ? model : v, error, "\"%s\" must be %s", key, evo_json_kind_name (kind));
    return NULL;
  }
  if (evo_json_size (v) == 0 && strcmp (key, "vocab") == 0) {
    evo_tokenizer_fail (v, error, "the vocabulary is empty");
    return NULL;
  }
  return v;
}

/* ------------------------------------------------------------------ BPE */

static gboolean
read_vocab (EvoTokenizer *t, const EvoJson *model, GError **error)
{
  const EvoJson *vocab = need (model, "vocab", EVO_JSON_OBJECT, error);

  for (guint i = 0; vocab != NULL && i < evo_json_size (vocab); i++) {
    const EvoJson *v = evo_json_at (vocab, i);
    const char *text = evo_json_key (v);
    gint32 id = -1;

    if (!evo_tokenizer_read_id (v, &id, error))
      return FALSE;
    if (evo_vocab_get (&t->vocab, id).text != NULL)
      return evo_tokenizer_fail (v, error, "the id %d is already that of \"%s\"", id, evo_vocab_get (&t->vocab, id).text);
    evo_vocab_add (&t->vocab, text, strlen (text), id);
  }
  return vocab != NULL;
}

/* The two sides of a merge: "a b" or ["a", "b"]. Borrowed; *n_left: bytes of the left one. */
static gboolean
merge_sides (const EvoJson *v, const char **left, gsize *n_left, const char **right)
{
  const char *text = evo_json_string (v), *blank = text == NULL ? NULL : strchr (text, ' ');

  if (evo_json_kind (v) == EVO_JSON_ARRAY && evo_json_size (v) == 2) {
    *left = evo_json_string (evo_json_at (v, 0));
    *right = evo_json_string (evo_json_at (v, 1));
    *n_left = *left == NULL ? 0 : strlen (*left);
    return *left != NULL && *right != NULL;
  }
  if (blank == NULL || strchr (blank + 1, ' ') != NULL)
    return FALSE;
  *left = text;
  *n_left = (gsize) (blank - text);
  *right = blank + 1;
  return TRUE;
}

static gboolean
find_side (const EvoTokenizer *t, const EvoJson *v, const char *text, gsize n, gint32 *id, GError **error)
{
  *id = evo_vocab_find (&t->vocab, text, n);
  return *id >= 0 || evo_tokenizer_fail (v, error, "the merge needs the token \"%.*s\", which is not in the vocabulary",
                                         (int) MIN (n, 80), text);
}

/* What the two make together: the right one without its continuing_subword_prefix. */
static gboolean
find_whole (const EvoTokenizer *t, const EvoJson *v, GString *whole, const char *left, gsize n_left, const char *right, gint32 *id,
            GError **error)
{
  gsize n_prefix = t->bpe.prefix == NULL ? 0 : strlen (t->bpe.prefix), n_right = strlen (right);

  if (n_prefix > n_right || (n_prefix > 0 && strncmp (right, t->bpe.prefix, n_prefix) != 0))
    return evo_tokenizer_fail (v, error, "the right side of a merge must begin with \"%s\"", t->bpe.prefix);
  g_string_truncate (whole, 0);
  g_string_append_len (whole, left, (gssize) n_left);
  g_string_append_len (whole, right + n_prefix, (gssize) (n_right - n_prefix));
  return find_side (t, v, whole->str, whole->len, id, error);
}

static gboolean
read_merges (EvoTokenizer *t, const EvoJson *model, GError **error)
{
  const EvoJson *merges = need (model, "merges", EVO_JSON_ARRAY, error);
  g_autoptr (GString) whole = g_string_new (NULL);
  guint32 rank = 0;

  for (guint i = 0; merges != NULL && i < evo_json_size (merges); i++) {
    const EvoJson *v = evo_json_at (merges, i);
    const char *left, *right;
    gsize n_left;
    gint32 a = -1, b = -1, both = -1;

    if (evo_json_string (v) != NULL && g_str_has_prefix (evo_json_string (v), "#version"))
      continue;
    if (!merge_sides (v, &left, &n_left, &right))
      return evo_tokenizer_fail (v, error, "a merge is \"LEFT RIGHT\" or [\"LEFT\", \"RIGHT\"]");
    if (!find_side (t, v, left, n_left, &a, error) || !find_side (t, v, right, strlen (right), &b, error) ||
        !find_whole (t, v, whole, left, n_left, right, &both, error))
      return FALSE;
    evo_bpe_add_merge (&t->bpe, a, b, rank++, both);
  }
  return merges != NULL;
}

static gboolean
read_unknown (EvoTokenizer *t, const EvoJson *model, GError **error)
{
  const char *unknown = NULL;

  if (!evo_tokenizer_read_text (model, "unk_token", &unknown, error))
    return FALSE;
  if (unknown == NULL)
    return TRUE;
  t->bpe.unknown = evo_vocab_find (&t->vocab, unknown, strlen (unknown));
  if (t->bpe.unknown < 0)
    return evo_tokenizer_fail (evo_json_member (model, "unk_token"), error, "\"%s\" is not in the vocabulary", unknown);
  return TRUE;
}

static gboolean
read_affix (const EvoJson *model, const char *key, char **out, GError **error)
{
  const char *text = NULL;

  if (!evo_tokenizer_read_text (model, key, &text, error))
    return FALSE;
  *out = text == NULL || *text == '\0' ? NULL : g_strdup (text);
  return TRUE;
}

static gboolean
read_bpe (EvoTokenizer *t, const EvoJson *model, GError **error)
{
  const EvoJson *dropout = evo_json_member (model, "dropout");
  EvoBpe *b = &t->bpe;

  t->model = EVO_MODEL_BPE;
  if (!is_null (dropout) && (evo_json_kind (dropout) != EVO_JSON_NUMBER || evo_json_number (dropout) != 0))
    return evo_tokenizer_fail (dropout, error, "dropout makes token ids random; null is expected");
  if (!read_vocab (t, model, error))
    return FALSE;
  evo_bpe_init (b, &t->vocab);
  if (!evo_tokenizer_read_bool (model, "fuse_unk", &b->fuse_unknown, error) ||
      !evo_tokenizer_read_bool (model, "byte_fallback", &b->byte_fallback, error) ||
      !evo_tokenizer_read_bool (model, "ignore_merges", &b->ignore_merges, error) || !read_unknown (t, model, error) ||
      !read_affix (model, "continuing_subword_prefix", &b->prefix, error) ||
      !read_affix (model, "end_of_word_suffix", &b->suffix, error) || !read_merges (t, model, error))
    return FALSE;
  evo_bpe_index_characters (b);
  evo_bpe_allow_cuts (b);
  return TRUE;
}

/* ------------------------------------------------------------------ Unigram */

static gboolean
read_scored (EvoTokenizer *t, const EvoJson *v, gint32 id, GError **error)
{
  const EvoJson *text, *score;

  if (evo_json_kind (v) != EVO_JSON_ARRAY || evo_json_size (v) != 2)
    return evo_tokenizer_fail (v, error, "a token of a Unigram vocabulary is [TEXT, SCORE]");
  text = evo_json_at (v, 0);
  score = evo_json_at (v, 1);
  if (evo_json_kind (text) != EVO_JSON_STRING || evo_json_kind (score) != EVO_JSON_NUMBER)
    return evo_tokenizer_fail (v, error, "a token of a Unigram vocabulary is [TEXT, SCORE]");
  if (strlen (evo_json_string (text)) > EVO_VOCAB_MAX_TEXT)
    return evo_tokenizer_fail (v, error, "a token of %" G_GSIZE_FORMAT " bytes; up to %d are accepted", strlen (evo_json_string (text)),
                               EVO_VOCAB_MAX_TEXT);
  evo_vocab_add (&t->vocab, evo_json_string (text), strlen (evo_json_string (text)), id);
  evo_unigram_add (&t->unigram, id, evo_json_number (score), TRUE);
  return TRUE;
}

static gboolean
read_unigram (EvoTokenizer *t, const EvoJson *model, GError **error)
{
  const EvoJson *vocab = need (model, "vocab", EVO_JSON_ARRAY, error), *unknown = evo_json_member (model, "unk_id");
  gint64 id = -1;

  if (vocab == NULL)
    return FALSE;
  if (evo_json_size (vocab) > EVO_VOCAB_MAX_ID)
    return evo_tokenizer_fail (vocab, error, "%u tokens; up to %d are accepted", evo_json_size (vocab), EVO_VOCAB_MAX_ID);
  t->model = EVO_MODEL_UNIGRAM;
  evo_unigram_init (&t->unigram, &t->vocab);
  for (guint i = 0; i < evo_json_size (vocab); i++)
    if (!read_scored (t, evo_json_at (vocab, i), (gint32) i, error))
      return FALSE;
  if (!is_null (unknown) && (!evo_json_is_integer (unknown, &id) || id < 0 || id >= evo_json_size (vocab)))
    return evo_tokenizer_fail (unknown, error, "unk_id must be the id of one of the %u tokens", evo_json_size (vocab));
  t->unigram.unknown = (gint32) id;
  if (!evo_tokenizer_read_bool (model, "byte_fallback", &t->unigram.byte_fallback, error))
    return FALSE;
  evo_unigram_finish (&t->unigram);
  return TRUE;
}

/* Older files give no type: what the members are decides, as in the reference. */
static gboolean
read_model (EvoTokenizer *t, const EvoJson *root, GError **error)
{
  const EvoJson *model = need (root, "model", EVO_JSON_OBJECT, error);
  const char *type;

  if (model == NULL)
    return FALSE;
  type = evo_json_get_string (model, "type");
  if (type == NULL && evo_json_member (model, "type") == NULL)
    type = evo_json_member (model, "merges") != NULL ? "BPE" : evo_json_member (model, "unk_id") != NULL ? "Unigram" : NULL;
  if (g_strcmp0 (type, "BPE") == 0)
    return read_bpe (t, model, error);
  if (g_strcmp0 (type, "Unigram") == 0)
    return read_unigram (t, model, error);
  return evo_tokenizer_fail (model, error, "the model type \"%s\" is not supported; known are BPE and Unigram", type == NULL ? "" : type);
}

/* ------------------------------------------------------------------ added tokens */

gboolean
evo_tokenizer_read_added (EvoTokenizer *t, const EvoJson *v, gint32 id, GError **error)
{
  const char *text = evo_json_get_string (v, "content");
  EvoAddedToken token = { .id = id };
  g_autofree char *why = NULL;

  if (text == NULL)
    return evo_tokenizer_fail (v, error, "an added token needs \"content\", a text");
  if (!evo_tokenizer_read_bool (v, "special", &token.special, error))
    return FALSE;
  token.normalized = !token.special;
  if (!evo_tokenizer_read_bool (v, "lstrip", &token.lstrip, error) || !evo_tokenizer_read_bool (v, "rstrip", &token.rstrip, error) ||
      !evo_tokenizer_read_bool (v, "single_word", &token.single_word, error) ||
      !evo_tokenizer_read_bool (v, "normalized", &token.normalized, error))
    return FALSE;
  if (*text == '\0')
    return TRUE;
  token.text = (char *) text;
  token.n = strlen (text);
  return evo_tokenizer_add (t, token, &why) || evo_tokenizer_fail (v, error, "%s", why);
}

static gboolean
read_listed (EvoTokenizer *t, const EvoJson *v, GError **error)
{
  const EvoJson *id = evo_json_member (v, "id");
  gint32 number = -1;

  if (id == NULL)
    return evo_tokenizer_fail (v, error, "an added token needs \"id\"");
  return evo_tokenizer_read_id (id, &number, error) && evo_tokenizer_read_added (t, v, number, error);
}

static gboolean
read_all_added (EvoTokenizer *t, const EvoJson *list, GError **error)
{
  if (is_null (list))
    return TRUE;
  if (evo_json_kind (list) != EVO_JSON_ARRAY)
    return evo_tokenizer_fail (list, error, "must be a list of added tokens");
  for (guint i = 0; i < evo_json_size (list); i++)
    if (!read_listed (t, evo_json_at (list, i), error))
      return FALSE;
  return TRUE;
}

/* ------------------------------------------------------------------ the template around a text */

static gboolean
check_known (const EvoTokenizer *t, const EvoJson *v, gint32 id, GError **error)
{
  if (evo_vocab_get (&t->vocab, id).text == NULL && !g_hash_table_contains (t->added_by_id, GINT_TO_POINTER (id)))
    return evo_tokenizer_fail (v, error, "there is no token with the id %d", id);
  return TRUE;
}

/* {"SpecialToken": {"id": NAME}}: the ids that the processor's special_tokens give for it. */
static gboolean
append_special (const EvoTokenizer *t, const EvoJson *processor, const EvoJson *piece, GArray *ids, GError **error)
{
  const char *name = evo_json_get_string (piece, "id");
  const EvoJson *known = name == NULL ? NULL : evo_json_member (evo_json_member (processor, "special_tokens"), name);
  const EvoJson *list = evo_json_member (known, "ids");

  if (list == NULL || evo_json_kind (list) != EVO_JSON_ARRAY)
    return evo_tokenizer_fail (piece, error, "special_tokens gives no ids for it");
  for (guint i = 0; i < evo_json_size (list); i++) {
    gint32 id;

    if (!evo_tokenizer_read_id (evo_json_at (list, i), &id, error) || !check_known (t, evo_json_at (list, i), id, error))
      return FALSE;
    g_array_append_val (ids, id);
  }
  return TRUE;
}

static gboolean
is_sequence_a (const EvoJson *piece)
{
  return g_strcmp0 (evo_json_get_string (evo_json_member (piece, "Sequence"), "id"), "A") == 0;
}

/* What stands before goes before all that earlier processors put there. */
static void
surround (EvoTokenizer *t, const GArray *before, const GArray *after)
{
  g_array_prepend_vals (t->before, before->data, before->len);
  g_array_append_vals (t->after, after->data, after->len);
}

static gboolean
read_template (EvoTokenizer *t, const EvoJson *v, GError **error)
{
  g_autoptr (GArray) before = g_array_new (FALSE, FALSE, sizeof (gint32)), after = g_array_new (FALSE, FALSE, sizeof (gint32));
  const EvoJson *single = need (v, "single", EVO_JSON_ARRAY, error);
  gboolean seen = FALSE;

  for (guint i = 0; single != NULL && i < evo_json_size (single); i++) {
    const EvoJson *piece = evo_json_at (single, i), *special = evo_json_member (piece, "SpecialToken");

    if (special == NULL && (seen || !is_sequence_a (piece)))
      return evo_tokenizer_fail (piece, error, "a template for one text is special tokens and, once, the sequence A");
    seen |= special == NULL;
    if (special != NULL && !append_special (t, v, special, seen ? after : before, error))
      return FALSE;
  }
  if (single == NULL)
    return FALSE;
  if (!seen)
    return evo_tokenizer_fail (single, error, "a template for one text is special tokens and, once, the sequence A");
  surround (t, before, after);
  return TRUE;
}

/* ["[SEP]", 102] */
static gboolean
append_pair (const EvoTokenizer *t, const EvoJson *v, const char *key, GArray *ids, GError **error)
{
  const EvoJson *pair = need (v, key, EVO_JSON_ARRAY, error);
  gint32 id;

  if (pair == NULL)
    return FALSE;
  if (evo_json_size (pair) != 2)
    return evo_tokenizer_fail (pair, error, "\"%s\" is [TEXT, ID]", key);
  if (!evo_tokenizer_read_id (evo_json_at (pair, 1), &id, error) || !check_known (t, evo_json_at (pair, 1), id, error))
    return FALSE;
  g_array_append_val (ids, id);
  return TRUE;
}

static gboolean
read_cls_sep (EvoTokenizer *t, const EvoJson *v, GError **error)
{
  g_autoptr (GArray) before = g_array_new (FALSE, FALSE, sizeof (gint32)), after = g_array_new (FALSE, FALSE, sizeof (gint32));

  if (!append_pair (t, v, "cls", before, error) || !append_pair (t, v, "sep", after, error))
    return FALSE;
  surround (t, before, after);
  return TRUE;
}

typedef struct { int kind; const EvoJson *v; } Processor;
typedef enum { OFFSETS, TEMPLATE, CLS_SEP } ProcessorKind;

static gboolean
note_processor (const EvoJson *v, gpointer step, GError **error)
{
  ((Processor *) step)->v = v;
  return TRUE;
}

/* ByteLevel moves offsets, which nobody asks for here. */
static gboolean
read_processors (EvoTokenizer *t, const EvoJson *v, GError **error)
{
  static const EvoStepType types[] = {
    { "ByteLevel", NULL, OFFSETS }, { "TemplateProcessing", note_processor, TEMPLATE }, { "BertProcessing", note_processor, CLS_SEP },
    { "RobertaProcessing", note_processor, CLS_SEP }, { NULL }
  };
  g_autoptr (GArray) steps = g_array_new (FALSE, TRUE, sizeof (Processor));

  if (!evo_steps_read (types, v, "post-processor", "processors", steps, error))
    return FALSE;
  for (guint i = 0; i < steps->len; i++) {
    const Processor *p = &g_array_index (steps, Processor, i);

    if ((p->kind == TEMPLATE && !read_template (t, p->v, error)) || (p->kind == CLS_SEP && !read_cls_sep (t, p->v, error)))
      return FALSE;
  }
  return TRUE;
}

/* ------------------------------------------------------------------ the file */

static EvoTokenizer *
new_from_document (const EvoJsonDoc *doc, GError **error)
{
  const EvoJson *root = evo_json_root (doc);
  g_autoptr (EvoTokenizer) t = evo_tokenizer_new ();

  if (!read_model (t, root, error) || !evo_normalizers_read (evo_json_member (root, "normalizer"), t->normalizers, error) ||
      !evo_splitters_read (evo_json_member (root, "pre_tokenizer"), t->splitters, error) ||
      !evo_decoders_read (evo_json_member (root, "decoder"), t->decoders, error) ||
      !read_all_added (t, evo_json_member (root, "added_tokens"), error) ||
      !read_processors (t, evo_json_member (root, "post_processor"), error))
    return NULL;
  evo_tokenizer_index_added (t);
  evo_tokenizer_count (t);
  return g_steal_pointer (&t);
}

EvoTokenizer *
evo_tokenizer_new_from_json_file (const char *path, GError **error)
{
  g_autoptr (EvoJsonDoc) doc = evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, error);

  return doc == NULL ? NULL : new_from_document (doc, error);
}

EvoTokenizer *
evo_tokenizer_new_from_json_text (const char *text, gssize n, const char *path, GError **error)
{
  g_autoptr (EvoJsonDoc) doc = evo_json_parse (text, n, path, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, error);

  return doc == NULL ? NULL : new_from_document (doc, error);
}
