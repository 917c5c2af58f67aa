/* SPDX-License-Identifier: Apache-2.0
 * options.c - command lines against a table of options.
 */
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/cli/cli.h"

int
evo_cli_fail (const GError *error)
{
  fprintf (stderr, "evopipe: %s\n", error->message);
  return evo_error_exit_code (error);
}

int
evo_cli_usage (const EvoCommand *c, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  fprintf (stderr, "evopipe %s: ", c->name);
  vfprintf (stderr, format, args);
  va_end (args);
  fprintf (stderr, "\nusage: evopipe %s%s%s; evopipe %s --help explains the options\n", c->name, *c->usage == '\0' ? "" : " ", c->usage, c->name);
  return 2;
}

static const EvoOption *
find_option (const EvoOption *options, guint n, const char *name)
{
  for (guint i = 0; i < n; i++)
    if (g_str_equal (options[i].name, name))
      return &options[i];
  return NULL;
}

static gboolean
set_integer (const EvoCommand *c, const EvoOption *o, const char *text)
{
  char *end;
  gint64 v = g_ascii_strtoll (text, &end, 10);

  if (end != text && *end == '\0' && v >= o->min && v <= o->max) {
    *(gint64 *) o->out = v;
    return TRUE;
  }
  evo_cli_usage (c, "%s %s: needs a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, o->name, text, o->min, o->max);
  return FALSE;
}

static gboolean
set_value (const EvoCommand *c, const EvoOption *o, const char *text)
{
  if (o->kind == EVO_OPTION_INTEGER)
    return set_integer (c, o, text);
  if (o->kind == EVO_OPTION_TEXT)
    *(const char **) o->out = text;
  else
    g_ptr_array_add (o->out, (gpointer) text);
  return TRUE;
}

static gboolean
unknown_option (const EvoCommand *c, const EvoOption *options, guint n, const char *arg)
{
  const char **names = g_newa (const char *, n + 1);
  g_autofree char *tail = NULL;

  for (guint i = 0; i < n; i++)
    names[i] = options[i].name;
  names[n] = NULL;
  tail = evo_did_you_mean (arg, names);
  evo_cli_usage (c, "there is no option %s%s", arg, tail);
  return FALSE;
}

static gsize
columns (const char *text)
{
  return (gsize) g_utf8_strlen (text, -1);
}

static void
print_help (const EvoCommand *c, const EvoOption *options, guint n)
{
  gsize width = strlen ("--help");

  for (guint i = 0; i < n; i++)
    width = MAX (width, columns (options[i].name) + (options[i].value == NULL ? 0 : 1 + columns (options[i].value)));
  printf ("evopipe %s - %s\n\nusage: evopipe %s%s%s\n\n", c->name, c->summary, c->name, *c->usage == '\0' ? "" : " ", c->usage);
  for (guint i = 0; i < n; i++) {
    g_autofree char *name = g_strjoin (" ", options[i].name, options[i].value, NULL);

    printf ("  %s%*s  %s\n", name, (int) (width - columns (name)), "", options[i].doc);
  }
  printf ("  %-*s  print this\n", (int) width, "--help");
}

gboolean
evo_cli_parse (const EvoCommand *c, const EvoOption *options, guint n, int argc, char **argv, GPtrArray *positional, gboolean *help)
{
  gboolean only_positional = FALSE;

  *help = FALSE;
  for (int i = 1; i < argc; i++) {
    g_autofree char *name = g_strdup (argv[i]);
    char *equals = strchr (name, '=');
    const EvoOption *o;

    if (only_positional || argv[i][0] != '-' || argv[i][1] == '\0') {
      g_ptr_array_add (positional, argv[i]);
      continue;
    }
    if (g_str_equal (argv[i], "--")) {
      only_positional = TRUE;
      continue;
    }
    if (g_str_equal (argv[i], "--help") || g_str_equal (argv[i], "-h")) {
      print_help (c, options, n);
      *help = TRUE;
      return TRUE;
    }
    if (equals != NULL)
      *equals = '\0';
    o = find_option (options, n, name);
    if (o == NULL)
      return unknown_option (c, options, n, name);
    if (o->kind == EVO_OPTION_FLAG && equals != NULL) {
      evo_cli_usage (c, "%s takes no value", name);
      return FALSE;
    }
    if (o->kind == EVO_OPTION_FLAG) {
      *(gboolean *) o->out = TRUE;
      continue;
    }
    if (equals == NULL && i + 1 >= argc) {
      evo_cli_usage (c, "%s needs a value", name);
      return FALSE;
    }
    if (!set_value (c, o, equals != NULL ? strchr (argv[i], '=') + 1 : argv[++i]))
      return FALSE;
  }
  return TRUE;
}

gboolean
evo_cli_parse_size (const char *text, guint64 *out)
{
  static const struct { const char *unit; guint64 bytes; } units[] = { { "", 1 }, { "B", 1 }, { "KB", 1000 }, { "MB", 1000000 },
                                                                       { "GB", 1000000000 }, { "TB", G_GUINT64_CONSTANT (1000000000000) },
                                                                       { "KiB", 1024 }, { "MiB", 1048576 },
                                                                       { "GiB", 1073741824 } };
  gsize n = strspn (text, "0123456789.");
  g_autofree char *number = g_strndup (text, n); /* strtod alone would take blanks, signs, "0x10" and "nan" */
  char *end;
  double v = g_ascii_strtod (number, &end);

  for (guint i = 0; n > 0 && *end == '\0' && i < G_N_ELEMENTS (units); i++)
    if (g_ascii_strcasecmp (text + n, units[i].unit) == 0 && v * (double) units[i].bytes >= 1 && v * (double) units[i].bytes < 1e18) {
      *out = (guint64) (v * (double) units[i].bytes);
      return TRUE;
    }
  return FALSE;
}
