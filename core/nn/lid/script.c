/* SPDX-License-Identifier: Apache-2.0
 * script.c - the language of a text by the scripts of its letters.
 */
#include <math.h>
#include <string.h>

#include "core/nn/lid/lid.h"
#include "core/nn/tokenizer/text.h"

enum { MAX_SCRIPTS = 3 };

typedef struct { const char *code; GUnicodeScript scripts[MAX_SCRIPTS]; } Language; /* unused places: LATIN must stand first, 0 is COMMON */

static const Language languages[] = {
  { "am", { G_UNICODE_SCRIPT_ETHIOPIC } },   { "ar", { G_UNICODE_SCRIPT_ARABIC } },    { "be", { G_UNICODE_SCRIPT_CYRILLIC } },
  { "bg", { G_UNICODE_SCRIPT_CYRILLIC } },   { "bn", { G_UNICODE_SCRIPT_BENGALI } },   { "bo", { G_UNICODE_SCRIPT_TIBETAN } },
  { "ckb", { G_UNICODE_SCRIPT_ARABIC } },    { "el", { G_UNICODE_SCRIPT_GREEK } },     { "fa", { G_UNICODE_SCRIPT_ARABIC } },
  { "gu", { G_UNICODE_SCRIPT_GUJARATI } },   { "he", { G_UNICODE_SCRIPT_HEBREW } },    { "hi", { G_UNICODE_SCRIPT_DEVANAGARI } },
  { "hy", { G_UNICODE_SCRIPT_ARMENIAN } },   { "ka", { G_UNICODE_SCRIPT_GEORGIAN } },  { "kk", { G_UNICODE_SCRIPT_CYRILLIC } },
  { "km", { G_UNICODE_SCRIPT_KHMER } },      { "kn", { G_UNICODE_SCRIPT_KANNADA } },   { "ko", { G_UNICODE_SCRIPT_HANGUL } },
  { "ky", { G_UNICODE_SCRIPT_CYRILLIC } },   { "lo", { G_UNICODE_SCRIPT_LAO } },       { "mk", { G_UNICODE_SCRIPT_CYRILLIC } },
  { "ml", { G_UNICODE_SCRIPT_MALAYALAM } },  { "mn", { G_UNICODE_SCRIPT_CYRILLIC, G_UNICODE_SCRIPT_MONGOLIAN } },
  { "mr", { G_UNICODE_SCRIPT_DEVANAGARI } }, { "my", { G_UNICODE_SCRIPT_MYANMAR } },   { "ne", { G_UNICODE_SCRIPT_DEVANAGARI } },
  { "or", { G_UNICODE_SCRIPT_ORIYA } },      { "pa", { G_UNICODE_SCRIPT_GURMUKHI } },  { "ps", { G_UNICODE_SCRIPT_ARABIC } },
  { "ru", { G_UNICODE_SCRIPT_CYRILLIC } },   { "si", { G_UNICODE_SCRIPT_SINHALA } },
  { "sr", { G_UNICODE_SCRIPT_CYRILLIC, G_UNICODE_SCRIPT_LATIN } },                     { "ta", { G_UNICODE_SCRIPT_TAMIL } },
  { "te", { G_UNICODE_SCRIPT_TELUGU } },     { "th", { G_UNICODE_SCRIPT_THAI } },      { "uk", { G_UNICODE_SCRIPT_CYRILLIC } },
  { "ur", { G_UNICODE_SCRIPT_ARABIC } },     { "yi", { G_UNICODE_SCRIPT_HEBREW } },
  { "zh", { G_UNICODE_SCRIPT_HAN, G_UNICODE_SCRIPT_BOPOMOFO } },
};

static const char *const latin[] = { "af", "ca", "cs", "cy", "da", "de", "en", "es", "et", "eu", "fi", "fr", "ga", "gl", "hr", "hu", "id",
                                     "is", "it", "la", "lt", "lv", "ms", "nl", "no", "pl", "pt", "ro", "sk", "sl", "sq", "sv", "sw", "tl",
                                     "tr", "vi", "yo", "zu", NULL };

static const GUnicodeScript *
scripts_of (const char *code)
{
  static const GUnicodeScript only_latin[MAX_SCRIPTS] = { G_UNICODE_SCRIPT_LATIN };

  for (guint i = 0; i < G_N_ELEMENTS (languages); i++)
    if (strcmp (languages[i].code, code) == 0)
      return languages[i].scripts;
  return g_strv_contains (latin, code) ? only_latin : NULL;
}

/* Hiragana and katakana without their marks and iteration signs, as the small models' own test has them. */
static gboolean
is_kana (gunichar c)
{
  return (c >= 0x3041 && c <= 0x3096) || (c >= 0x30a1 && c <= 0x30fa);
}

static gboolean
belongs (gunichar c, const GUnicodeScript *scripts)
{
  GUnicodeScript script = g_unichar_get_script (c);

  for (guint i = 0; i < MAX_SCRIPTS && scripts[i] != G_UNICODE_SCRIPT_COMMON; i++)
    if (scripts[i] == script)
      return TRUE;
  return FALSE;
}

double
evo_script_probability (const char *text, gsize n, const char *code)
{
  const GUnicodeScript *scripts = scripts_of (code);
  gboolean is_ja = strcmp (code, "ja") == 0;
  g_autoptr (GString) clean = g_string_sized_new (n);
  gsize good = 0, all = 0;

  if (!is_ja && scripts == NULL)
    return NAN;
  evo_utf8_append_lossy (clean, text, n);
  for (const char *p = clean->str; p < clean->str + clean->len;) {
    gunichar c = evo_utf8_next (&p);
    gboolean hit = is_ja ? is_kana (c) : (evo_char_class (c) & EVO_CHAR_LETTER) != 0 && belongs (c, scripts);

    good += hit;
    all += hit || (is_ja ? c < 128 && g_ascii_isalpha ((char) c) : (evo_char_class (c) & EVO_CHAR_LETTER) != 0);
  }
  return all == 0 ? 0 : (double) good / (double) all;
}
