/* SPDX-License-Identifier: Apache-2.0
 * split.c - the pre-tokenizers of tokenizer.json: pieces of text to smaller pieces.
 */
#include "core/base/error.h"
#include "core/nn/tokenizer/steps.h"

typedef enum { BYTE_LEVEL, SPLIT, META_SPACE } SplitterKind;
typedef enum { ISOLATED, REMOVED, WITH_PREVIOUS, WITH_NEXT, CONTIGUOUS } Behaviour;
typedef enum { ALWAYS, FIRST, NEVER } PrependScheme;

typedef struct {
  int kind;              /* SplitterKind */
  EvoPattern *pattern;   /* NULL: pieces stay whole */
  Behaviour behaviour;
  gboolean invert, prefix_space;
  PrependScheme prepend;
  char *mark;            /* META_SPACE: what a blank becomes */
} Splitter;

static void
clear_splitter (gpointer step)
{
  Splitter *s = step;

  evo_pattern_free (s->pattern);
  g_free (s->mark);
}

GArray *
evo_splitters_new (void)
{
  GArray *steps = g_array_new (FALSE, TRUE, sizeof (Splitter));

  g_array_set_clear_func (steps, clear_splitter);
  return steps;
}

/* ------------------------------------------------------------------ reading */

static gboolean
read_byte_level (const EvoJson *v, gpointer step, GError **error)
{
  Splitter *s = step;
  gboolean use_regex = TRUE;

  s->prefix_space = TRUE;
  if (!evo_tokenizer_read_bool (v, "add_prefix_space", &s->prefix_space, error) ||
      !evo_tokenizer_read_bool (v, "use_regex", &use_regex, error))
    return FALSE;
  s->pattern = use_regex ? evo_pattern_new_gpt2 () : NULL;
  return TRUE;
}

/* Index of a member's text among names (NULL-terminated); absent: *out stays. */
static gboolean
read_choice (const EvoJson *v, const char *key, const char *const *names, guint *out, GError **error)
{
  const char *text = NULL;
  g_autofree char *all = NULL;

  if (!evo_tokenizer_read_text (v, key, &text, error))
    return FALSE;
  if (text == NULL)
    return TRUE;
  for (guint i = 0; names[i] != NULL; i++)
    if (strcmp (names[i], text) == 0) {
      *out = i;
      return TRUE;
    }
  all = g_strjoinv (", ", (char **) names);
  return evo_tokenizer_fail (evo_json_member (v, key), error, "\"%s\" is not one of %s", text, all);
}

static gboolean
read_behaviour (const EvoJson *v, Splitter *s, GError **error)
{
  static const char *const names[] = { "Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous", NULL };
  guint which = s->behaviour;

  if (!read_choice (v, "behavior", names, &which, error))
    return FALSE;
  s->behaviour = (Behaviour) which;
  return TRUE;
}

static gboolean
read_split (const EvoJson *v, gpointer step, GError **error)
{
  Splitter *s = step;
  const EvoJson *pattern = evo_json_member (v, "pattern");

  if (pattern == NULL || evo_json_member (v, "behavior") == NULL)
    return evo_tokenizer_fail (v, error, "a Split needs \"pattern\" and \"behavior\"");
  if (!read_behaviour (v, s, error) || !evo_tokenizer_read_bool (v, "invert", &s->invert, error))
    return FALSE;
  s->pattern = evo_pattern_new_from_json (pattern, error);
  return s->pattern != NULL;
}

/* Older files say add_prefix_space, newer ones prepend_scheme. */
static gboolean
read_metaspace (const EvoJson *v, gpointer step, GError **error)
{
  static const char *const schemes[] = { "always", "first", "never", NULL };
  Splitter *s = step;
  gboolean prefix = TRUE, split = TRUE;
  const char *mark = EVO_META_SPACE;
  guint scheme;

  if (!evo_tokenizer_read_bool (v, "add_prefix_space", &prefix, error) || !evo_tokenizer_read_bool (v, "split", &split, error) ||
      !evo_tokenizer_read_text (v, "replacement", &mark, error))
    return FALSE;
  scheme = prefix ? ALWAYS : NEVER;
  if (!read_choice (v, "prepend_scheme", schemes, &scheme, error))
    return FALSE;
  if (evo_utf8_count (mark, strlen (mark)) != 1)
    return evo_tokenizer_fail (evo_json_member (v, "replacement"), error, "must be one character");
  s->prepend = (PrependScheme) scheme;
  s->mark = g_strdup (mark);
  s->pattern = split ? evo_pattern_new_literal (mark, strlen (mark)) : NULL;
  s->behaviour = WITH_NEXT;
  return TRUE;
}

static gboolean
read_digits (const EvoJson *v, gpointer step, GError **error)
{
  Splitter *s = step;
  gboolean single = FALSE;

  if (!evo_tokenizer_read_bool (v, "individual_digits", &single, error))
    return FALSE;
  s->pattern = evo_pattern_new_class (EVO_CHAR_NUMBER, !single);
  return TRUE;
}

static gboolean
read_punctuation (const EvoJson *v, gpointer step, GError **error)
{
  ((Splitter *) step)->pattern = evo_pattern_new_class (EVO_CHAR_PUNCT, FALSE);
  return read_behaviour (v, step, error);
}

static gboolean
read_whitespace (const EvoJson *v, gpointer step, GError **error)
{
  ((Splitter *) step)->pattern = evo_pattern_new_words ();
  ((Splitter *) step)->behaviour = REMOVED;
  ((Splitter *) step)->invert = TRUE;
  return TRUE;
}

static gboolean
read_whitespace_split (const EvoJson *v, gpointer step, GError **error)
{
  ((Splitter *) step)->pattern = evo_pattern_new_class (EVO_CHAR_SPACE, FALSE);
  ((Splitter *) step)->behaviour = REMOVED;
  return TRUE;
}

static gboolean
read_delimiter (const EvoJson *v, gpointer step, GError **error)
{
  const char *text = NULL;

  if (!evo_tokenizer_read_text (v, "delimiter", &text, error))
    return FALSE;
  if (text == NULL || evo_utf8_count (text, strlen (text)) != 1)
    return evo_tokenizer_fail (v, error, "a CharDelimiterSplit needs \"delimiter\", one character");
  ((Splitter *) step)->pattern = evo_pattern_new_literal (text, strlen (text));
  ((Splitter *) step)->behaviour = REMOVED;
  return TRUE;
}

gboolean
evo_splitters_read (const EvoJson *v, GArray *steps, GError **error)
{
  static const EvoStepType types[] = {
    { "ByteLevel", read_byte_level, BYTE_LEVEL }, { "Split", read_split, SPLIT }, { "Metaspace", read_metaspace, META_SPACE },
    { "Digits", read_digits, SPLIT }, { "Punctuation", read_punctuation, SPLIT }, { "Whitespace", read_whitespace, SPLIT },
    { "WhitespaceSplit", read_whitespace_split, SPLIT }, { "CharDelimiterSplit", read_delimiter, SPLIT }, { NULL }
  };

  return evo_steps_read (types, v, "pre-tokenizer", "pretokenizers", steps, error);
}

/* ------------------------------------------------------------------ spans to pieces */

typedef struct { EvoPieces *out; gsize base; gboolean first; } Sink; /* base: where the spans' text begins in out->bytes */

static void
put_span (Sink *s, gsize start, gsize end)
{
  evo_pieces_add (s->out, s->base + start, end - start, -1, s->first && start == 0);
}

/* Each match joins what stands before it; a match right after a match stands alone. */
static void
join_previous (Sink *sink, const EvoSpan *s, guint n)
{
  gsize start = 0;

  for (guint i = 0; i < n; i++) {
    gboolean joins = i + 1 < n && s[i + 1].match && !s[i].match;

    if (joins)
      continue;
    put_span (sink, start, s[i].end);
    start = s[i].end;
  }
}

static void
join_next (Sink *sink, const EvoSpan *s, guint n)
{
  gsize start = 0;

  for (guint i = 0; i < n; i++) {
    gboolean joins = i + 1 < n && s[i].match && !s[i + 1].match;

    if (joins)
      continue;
    put_span (sink, start, s[i].end);
    start = s[i].end;
  }
}

static void
join_alike (Sink *sink, const EvoSpan *s, guint n)
{
  gsize start = 0;

  for (guint i = 0; i < n; i++) {
    if (i + 1 < n && s[i].match == s[i + 1].match)
      continue;
    put_span (sink, start, s[i].end);
    start = s[i].end;
  }
}

static void
put_spans (const Splitter *s, Sink *sink, const GArray *spans)
{
  EvoSpan *all = (EvoSpan *) (gpointer) spans->data;
  guint n = spans->len;

  for (guint i = 0; i < n && s->invert; i++)
    all[i].match = !all[i].match;
  if (s->behaviour == WITH_PREVIOUS)
    join_previous (sink, all, n);
  else if (s->behaviour == WITH_NEXT)
    join_next (sink, all, n);
  else if (s->behaviour == CONTIGUOUS)
    join_alike (sink, all, n);
  else
    for (guint i = 0; i < n; i++)
      if (s->behaviour == ISOLATED || !all[i].match)
        put_span (sink, all[i].start, all[i].end);
}

/* ------------------------------------------------------------------ running */

/* Cuts text[0..n), which stands at sink->base of out->bytes. */
static void
split_text (const Splitter *s, Sink *sink, const char *text, gsize n, GArray *spans)
{
  if (s->pattern == NULL) {
    put_span (sink, 0, n);
    return;
  }
  evo_pattern_find (s->pattern, text, n, spans);
  put_spans (s, sink, spans);
}

/* The bytes of each cut become characters: cut first, on the text, then write the bytes in order. */
static void
run_byte_level (const Splitter *s, const EvoPieces *in, const EvoPiece *piece, EvoPieces *out, EvoPieces *cut, GArray *spans)
{
  const char *text = in->bytes->str + piece->start;
  Sink sink = { cut, 0, piece->first };

  evo_pieces_empty (cut);
  if (s->prefix_space && *text != ' ')
    g_string_append_c (cut->bytes, ' ');
  g_string_append_len (cut->bytes, text, (gssize) piece->n);
  split_text (s, &sink, cut->bytes->str, cut->bytes->len, spans);
  for (guint i = 0; i < cut->pieces->len; i++) {
    const EvoPiece *c = evo_pieces_at (cut, i);
    gsize start = out->bytes->len;

    evo_byte_chars_append (out->bytes, cut->bytes->str + c->start, c->n);
    evo_pieces_add (out, start, out->bytes->len - start, -1, c->first);
  }
}

static void
run_metaspace (const Splitter *s, const EvoPieces *in, const EvoPiece *piece, EvoPieces *out, GArray *spans)
{
  const char *p = in->bytes->str + piece->start, *end = p + piece->n, *blank;
  Sink sink = { out, out->bytes->len, piece->first };
  gsize n_mark = strlen (s->mark);
  gboolean marked = *p == ' ' || (piece->n >= n_mark && memcmp (p, s->mark, n_mark) == 0);

  if (!marked && (s->prepend == ALWAYS || (s->prepend == FIRST && piece->first)))
    g_string_append (out->bytes, s->mark);
  for (; (blank = memchr (p, ' ', (gsize) (end - p))) != NULL; p = blank + 1) {
    g_string_append_len (out->bytes, p, blank - p);
    g_string_append (out->bytes, s->mark);
  }
  g_string_append_len (out->bytes, p, end - p);
  split_text (s, &sink, out->bytes->str + sink.base, out->bytes->len - sink.base, spans);
}

static void
run_splitter (const Splitter *s, const EvoPieces *in, EvoPieces *out, EvoPieces *cut, GArray *spans)
{
  for (guint i = 0; i < in->pieces->len; i++) {
    const EvoPiece *piece = evo_pieces_at (in, i);

    if (piece->id >= 0) {
      evo_pieces_add (out, 0, 0, piece->id, FALSE);
    } else if (s->kind == BYTE_LEVEL) {
      run_byte_level (s, in, piece, out, cut, spans);
    } else if (s->kind == META_SPACE) {
      run_metaspace (s, in, piece, out, spans);
    } else {
      Sink sink = { out, piece->start, piece->first };

      split_text (s, &sink, in->bytes->str + piece->start, piece->n, spans);
    }
  }
}

void
evo_splitters_run (const GArray *steps, EvoPieces *pieces, EvoPieces *spare, GArray *spans)
{
  EvoPieces cut;

  if (steps->len == 0)
    return;
  evo_pieces_init (&cut);
  for (guint i = 0; i < steps->len; i++) {
    const Splitter *s = &g_array_index (steps, Splitter, i);

    evo_pieces_empty (spare);
    run_splitter (s, pieces, spare, &cut, spans);
    if (s->kind == SPLIT) { /* the text is the same: only the pieces change */
      GString *bytes = pieces->bytes;

      pieces->bytes = spare->bytes;
      spare->bytes = bytes;
    }
    evo_pieces_swap (pieces, spare);
  }
  evo_pieces_clear (&cut);
}
