/* SPDX-License-Identifier: Apache-2.0
 * normalize.c - the normalisers of tokenizer.json: text to text.
 */
#include "core/base/error.h"
#include "core/nn/tokenizer/steps.h"

typedef enum {
  PREPEND, REPLACE, NFC, NFD, NFKC, NFKD, LOWERCASE, STRIP, STRIP_ACCENTS, PRECOMPILED, BYTES, SPM
} NormalizerKind;

typedef struct {
  int kind;               /* NormalizerKind */
  char *text;             /* PREPEND, REPLACE: what is put in */
  EvoPattern *pattern;    /* REPLACE */
  double growth;          /* REPLACE: bytes out per byte in, at most */
  gboolean left, right;   /* STRIP */
  EvoCharsmap *map;       /* PRECOMPILED, SPM (owned) */
  EvoSpmNormalizer spm;
} Normalizer;

/* Texts of a file may not blow up the texts of users. */
enum { MAX_GROWTH = 64 };

static void
clear_normalizer (gpointer step)
{
  Normalizer *z = step;

  g_free (z->text);
  evo_pattern_free (z->pattern);
  evo_charsmap_free (z->map);
}

GArray *
evo_normalizers_new (void)
{
  GArray *steps = g_array_new (FALSE, TRUE, sizeof (Normalizer));

  g_array_set_clear_func (steps, clear_normalizer);
  return steps;
}

/* ------------------------------------------------------------------ reading */

static gboolean
read_prepend (const EvoJson *v, gpointer step, GError **error)
{
  return evo_tokenizer_read_short_text (v, "prepend", NULL, &((Normalizer *) step)->text, error);
}

static gboolean
read_replace (const EvoJson *v, gpointer step, GError **error)
{
  Normalizer *z = step;
  const EvoJson *pattern = evo_json_member (v, "pattern");
  const char *literal = evo_json_get_string (pattern, "String");

  if (pattern == NULL)
    return evo_tokenizer_fail (v, error, "a Replace needs \"pattern\"");
  if (!evo_tokenizer_read_short_text (v, "content", NULL, &z->text, error))
    return FALSE;
  z->pattern = evo_pattern_new_from_json (pattern, error);
  z->growth = (double) strlen (z->text) / (literal == NULL ? 1 : MAX (strlen (literal), 1));
  return z->pattern != NULL;
}

static gboolean
read_strip (const EvoJson *v, gpointer step, GError **error)
{
  Normalizer *z = step;

  return evo_tokenizer_read_bool (v, "strip_left", &z->left, error) && evo_tokenizer_read_bool (v, "strip_right", &z->right, error);
}

static gboolean
read_precompiled (const EvoJson *v, gpointer step, GError **error)
{
  const char *text = NULL, *why = NULL;
  g_autofree guchar *blob = NULL;
  gsize n = 0;

  if (!evo_tokenizer_read_text (v, "precompiled_charsmap", &text, error))
    return FALSE;
  if (text == NULL || *text == '\0')
    return evo_tokenizer_fail (v, error, "a Precompiled normalizer needs \"precompiled_charsmap\"");
  blob = g_base64_decode (text, &n);
  ((Normalizer *) step)->map = evo_charsmap_new (blob, n, &why);
  if (((Normalizer *) step)->map == NULL)
    return evo_tokenizer_fail (evo_json_member (v, "precompiled_charsmap"), error, "%s", why);
  return TRUE;
}

static gboolean
check_growth (const EvoJson *v, const GArray *steps, GError **error)
{
  double growth = 1;

  for (guint i = 0; i < steps->len; i++)
    growth *= MAX (1, g_array_index (steps, Normalizer, i).growth);
  if (steps->len > MAX_GROWTH || growth > MAX_GROWTH)
    return evo_tokenizer_fail (v, error, "the normalizers can make a text %.0f times as long; up to %d is accepted", growth, MAX_GROWTH);
  return TRUE;
}

gboolean
evo_normalizers_read (const EvoJson *v, GArray *steps, GError **error)
{
  static const EvoStepType types[] = {
    { "Prepend", read_prepend, PREPEND }, { "Replace", read_replace, REPLACE }, { "NFC", NULL, NFC }, { "NFD", NULL, NFD },
    { "NFKC", NULL, NFKC }, { "NFKD", NULL, NFKD }, { "Lowercase", NULL, LOWERCASE }, { "Strip", read_strip, STRIP },
    { "StripAccents", NULL, STRIP_ACCENTS }, { "Precompiled", read_precompiled, PRECOMPILED }, { "ByteLevel", NULL, BYTES }, { NULL }
  };

  return evo_steps_read (types, v, "normalizer", "normalizers", steps, error) && (v == NULL || check_growth (v, steps, error));
}

void
evo_normalizers_add_spm (GArray *steps, const EvoSpmNormalizer *z)
{
  Normalizer step = { .kind = SPM, .map = z->map, .spm = *z };

  g_array_append_val (steps, step);
}

/* ------------------------------------------------------------------ running */

static gboolean
is_ascii (const char *text, gsize n)
{
  for (gsize i = 0; i < n; i++)
    if ((guchar) text[i] >= 0x80)
      return FALSE;
  return TRUE;
}

/* GLib's normalisation ends at U+0000, moves all that follows for each composition, and sorts marks by swapping: quadratic in long texts.
 * So it is given short parts, cut before characters that neither reorder nor compose with what stands before them. A run of marks is cut
 * all the same after this many bytes: no language has one (Unicode's stream-safe format allows 30 marks). */
enum { PART = 256, LONGEST_PART = 4096 };

static gboolean
is_safe_start (gunichar c)
{
  gunichar first[G_UNICHAR_MAX_DECOMPOSITION_LENGTH];

  if (c < 128)
    return TRUE;
  g_unichar_fully_decompose (c, TRUE, first, G_N_ELEMENTS (first));
  if ((evo_char_class (first[0]) & EVO_CHAR_MARK) != 0)
    return FALSE; /* in particular everything with a combining class, and the vowel signs that compose */
  return first[0] < 0x1160 || first[0] > 0x11ff; /* Hangul vowels and finals */
}

/* End of the part that begins at p. */
static const char *
part_end (const char *p, const char *end)
{
  const char *start = p;

  while (p < end) {
    const char *at = p;
    gunichar c = evo_utf8_next (&p);

    if (c == 0 || at - start >= LONGEST_PART || (at - start >= PART && is_safe_start (c)))
      return at;
  }
  return end;
}

static void
unicode (GNormalizeMode mode, const char *text, gsize n, GString *out)
{
  const char *p = text, *end = text + n;

  while (p < end) {
    const char *stop = part_end (p, end);

    if (stop == p) { /* U+0000 */
      g_string_append_c (out, *p++);
      continue;
    }
    if (is_ascii (p, (gsize) (stop - p))) {
      g_string_append_len (out, p, stop - p);
    } else {
      g_autofree char *part = g_utf8_normalize (p, stop - p, mode);

      g_string_append (out, part == NULL ? "" : part);
    }
    p = stop;
  }
}

/* One character at a time, without regard to its neighbours: U+0130 is the only one whose lower case is two. */
static void
lowercase (const char *text, gsize n, GString *out)
{
  const char *p = text, *end = text + n;

  while (p < end) {
    gunichar c = evo_utf8_next (&p);

    if (c == 0x130)
      g_string_append (out, "i\xcc\x87");
    else if (c == 0)
      g_string_append_c (out, '\0');
    else
      g_string_append_unichar (out, g_unichar_tolower (c));
  }
}

static void
strip (const Normalizer *z, const char *text, gsize n, GString *out)
{
  const char *start = text, *end = text + n, *stop = text;

  for (const char *p = text; z->left && p < end && (evo_char_class (evo_utf8_next (&p)) & EVO_CHAR_SPACE) != 0;)
    start = p;
  for (const char *p = start; p < end;)
    if ((evo_char_class (evo_utf8_next (&p)) & EVO_CHAR_SPACE) == 0 || !z->right)
      stop = p;
  if (stop > start)
    g_string_append_len (out, start, stop - start);
}

static void
strip_accents (const char *text, gsize n, GString *out)
{
  const char *p = text, *end = text + n;

  while (p < end) {
    const char *at = p;

    if ((evo_char_class (evo_utf8_next (&p)) & EVO_CHAR_MARK) == 0)
      g_string_append_len (out, at, p - at);
  }
}

static void
run_normalizer (const Normalizer *z, const char *text, gsize n, GString *out)
{
  static const GNormalizeMode modes[] = { [NFC] = G_NORMALIZE_NFC, [NFD] = G_NORMALIZE_NFD, [NFKC] = G_NORMALIZE_NFKC,
                                          [NFKD] = G_NORMALIZE_NFKD };

  switch ((NormalizerKind) z->kind) {
  case PREPEND:
    if (n > 0)
      g_string_append (out, z->text);
    g_string_append_len (out, text, (gssize) n);
    break;
  case REPLACE:
    evo_pattern_replace (z->pattern, text, n, z->text, out);
    break;
  case NFC:
  case NFD:
  case NFKC:
  case NFKD:
    unicode (modes[z->kind], text, n, out);
    break;
  case LOWERCASE:
    lowercase (text, n, out);
    break;
  case STRIP:
    strip (z, text, n, out);
    break;
  case STRIP_ACCENTS:
    strip_accents (text, n, out);
    break;
  case PRECOMPILED:
    evo_charsmap_apply (z->map, text, n, out);
    break;
  case BYTES:
    evo_byte_chars_append (out, text, n);
    break;
  case SPM:
    evo_spm_normalize (&z->spm, text, n, out);
    break;
  }
}

void
evo_normalizers_run (const GArray *steps, const char *text, gsize n, GString *out, GString *spare)
{
  g_string_truncate (out, 0);
  if (steps->len == 0)
    g_string_append_len (out, text, (gssize) n);
  for (guint i = 0; i < steps->len; i++) {
    const Normalizer *z = &g_array_index (steps, Normalizer, i);

    if (i == 0) {
      run_normalizer (z, text, n, out);
      continue;
    }
    g_string_truncate (spare, 0);
    g_string_append_len (spare, out->str, (gssize) out->len);
    g_string_truncate (out, 0);
    run_normalizer (z, spare->str, spare->len, out);
  }
}
