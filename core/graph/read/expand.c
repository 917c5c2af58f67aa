/* SPDX-License-Identifier: Apache-2.0
 * expand.c - fills ${VAR} and --set into a pipeline, by writing its text again.
 *
 * The new text has every value on the line it had in the file, so that messages about it name the right place without a table.
 * A text that is ${VAR} and nothing else becomes the JSON value that VAR holds, if it holds one; elsewhere VAR is text. $${ stands for ${ as it
 * is. Notes are left alone.
 */
#include <string.h>

#include "core/base/text.h"
#include "core/graph/read/read.h"

enum { LARGEST = 1 << 26 }; /* bytes of the expanded text: variables may multiply */

typedef struct {
  char *argument;
  char *node, *edge, *param;  /* edge NULL: of the node */
  char *text;                 /* the value as text */
  EvoJsonDoc *value;          /* as JSON; NULL: it is none */
  char *pointer;              /* where it was put; NULL: nowhere yet */
} Set;

struct EvoSets { Set *sets; guint n; };

typedef struct {
  EvoJsonWriter w;
  GString *out;
  guint line;
  const EvoSets *sets;        /* NULL: the pass that fills in variables */
} Expansion;

/* ------------------------------------------------------------------ --set */

void
evo_sets_free (EvoSets *s)
{
  if (s == NULL)
    return;
  for (guint i = 0; i < s->n; i++) {
    g_free (s->sets[i].argument);
    g_free (s->sets[i].node);
    g_free (s->sets[i].edge);
    g_free (s->sets[i].param);
    g_free (s->sets[i].text);
    g_free (s->sets[i].pointer);
    evo_json_free (s->sets[i].value);
  }
  g_free (s->sets);
  g_free (s);
}

static gboolean
parse_set (Set *set, GError **error)
{
  const char *equals = strchr (set->argument, '=');
  g_autofree char *name = equals == NULL ? NULL : g_strndup (set->argument, (gsize) (equals - set->argument));
  g_auto (GStrv) parts = name == NULL ? NULL : g_strsplit (name, ".", -1);
  guint n = parts == NULL ? 0 : g_strv_length (parts);

  if (n < 2 || n > 3 || *parts[0] == '\0' || *parts[1] == '\0' || *parts[n - 1] == '\0') {
    g_autofree char *quoted = evo_json_quoted (set->argument);

    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "--set %s: needs the form NODE.PARAM=VALUE or NODE.EDGE.PARAM=VALUE",
                          quoted);
  }
  if (!g_utf8_validate (set->argument, -1, NULL)) {
    g_autofree char *quoted = evo_json_quoted (set->argument);

    return evo_set_error (error, EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, "--set %s: is not UTF-8", quoted);
  }
  set->node = g_strdup (parts[0]);
  set->edge = n == 3 ? g_strdup (parts[1]) : NULL;
  set->param = g_strdup (parts[n - 1]);
  set->text = g_strdup (equals + 1);
  set->value = evo_json_parse (equals + 1, -1, "--set", EVO_USAGE_ERROR, EVO_USAGE_ERROR_ARGUMENT, NULL);
  return TRUE;
}

EvoSets *
evo_sets_new (const char *const *arguments, GError **error)
{
  g_autoptr (EvoSets) s = g_new0 (EvoSets, 1);
  guint n = arguments == NULL ? 0 : g_strv_length ((char **) arguments);

  s->sets = g_new0 (Set, n + 1);
  for (guint i = 0; i < n; i++) {
    s->sets[i].argument = g_strdup (arguments[i]);
    s->n++;
    if (!parse_set (&s->sets[i], error))
      return NULL;
  }
  return g_steal_pointer (&s);
}

/* The last set of this name holds, as with other options. */
static Set *
find_set (const EvoSets *sets, const char *node, const char *edge, const char *param)
{
  for (guint i = sets->n; i > 0; i--) {
    Set *s = &sets->sets[i - 1];

    if (g_str_equal (s->node, node) && g_strcmp0 (s->edge, edge) == 0 && (param == NULL || g_str_equal (s->param, param)))
      return s;
  }
  return NULL;
}

static gboolean
has_edge_sets (const EvoSets *sets, const char *node)
{
  for (guint i = 0; i < sets->n; i++)
    if (sets->sets[i].edge != NULL && g_str_equal (sets->sets[i].node, node))
      return TRUE;
  return FALSE;
}

void
evo_sets_rename (const EvoSets *sets, const char *file, GError **error)
{
  const char *message = error == NULL || *error == NULL ? "" : (*error)->message, *rest;

  if (!g_str_has_prefix (message, file))
    return;
  rest = message + strlen (file);
  if (*rest != ':')
    return;
  rest += 1 + strspn (rest + 1, "0123456789");
  for (guint i = 0; i < sets->n && g_str_has_prefix (rest, ": "); i++) {
    const Set *s = &sets->sets[i];
    gsize n = s->pointer == NULL ? 0 : strlen (s->pointer);

    if (n > 0 && strncmp (rest + 2, s->pointer, n) == 0 && (rest[2 + n] == ':' || rest[2 + n] == '/')) {
      char *renamed = g_strdup_printf ("--set %s%s%s.%s%s", s->node, s->edge == NULL ? "" : ".", s->edge == NULL ? "" : s->edge, s->param,
                                       rest + 2 + n);

      g_free ((*error)->message);
      (*error)->message = renamed;
      return;
    }
  }
}

/* ------------------------------------------------------------------ variables */

char *
evo_escape_variables (const char *text)
{
  GString *out = g_string_new (NULL);

  for (const char *p = text; *p != '\0'; p++) {
    if (p[0] == '$' && p[1] == '{')
      g_string_append_c (out, '$');
    g_string_append_c (out, *p);
  }
  return g_string_free (out, FALSE);
}

/* The variable that `p` ("${...") names; *end is what follows its brace. */
static const char *
variable (const EvoJson *v, const char *p, const char **end, GError **error)
{
  gsize n = strspn (p + 2, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
  g_autofree char *name = g_strndup (p + 2, n);
  const char *value;

  if (n == 0 || g_ascii_isdigit (*name) || p[2 + n] != '}') {
    evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX,
                 "\"${\" begins no variable; write ${NAME}, or $${ for the two characters");
    return NULL;
  }
  *end = p + n + 3;
  value = g_getenv (name);
  if (value == NULL)
    evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "the environment variable %s is not set", name);
  else if (!g_utf8_validate (value, -1, NULL))
    evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "the environment variable %s is not UTF-8", name);
  else
    return value;
  return NULL;
}

static gboolean
fill_text (const EvoJson *v, const char *text, GString *out, GError **error)
{
  while (*text != '\0') {
    const char *value;

    if (g_str_has_prefix (text, "$${")) {
      g_string_append (out, "${");
      text += 3;
    } else if (!g_str_has_prefix (text, "${")) {
      g_string_append_c (out, *text++);
    } else {
      value = variable (v, text, &text, error);
      if (value == NULL)
        return FALSE;
      g_string_append (out, value);
    }
    if (out->len > LARGEST)
      return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, "is longer than %d bytes with its variables filled in", LARGEST);
  }
  return TRUE;
}

static void
add_json_or_text (Expansion *x, const EvoJsonDoc *doc, const char *text)
{
  if (doc != NULL)
    evo_json_add_value (&x->w, evo_json_root (doc));
  else
    evo_json_add_string (&x->w, text);
}

static gboolean
write_text (Expansion *x, const EvoJson *v, GError **error)
{
  const char *text = evo_json_string (v), *end = text, *value;
  g_autoptr (GString) filled = NULL;

  if (x->sets != NULL) {
    evo_json_add_string (&x->w, text);
    return TRUE;
  }
  if (g_str_has_prefix (text, "${")) {
    value = variable (v, text, &end, error);
    if (value == NULL)
      return FALSE;
    if (*end == '\0') {
      g_autoptr (EvoJsonDoc) doc = evo_json_parse (value, -1, "variable", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, NULL);

      add_json_or_text (x, doc, value);
      return TRUE;
    }
  }
  filled = g_string_new (NULL);
  if (!fill_text (v, text, filled, error))
    return FALSE;
  evo_json_add_text (&x->w, filled->str, filled->len);
  return TRUE;
}

/* ------------------------------------------------------------------ the text again */

static void
go_to_line_of (Expansion *x, const EvoJson *v)
{
  for (; x->line < evo_json_line (v); x->line++)
    g_string_append_c (x->out, '\n');
}

/* Calls itself as deep as the document is nested: 64 at most. */
static gboolean
write_value (Expansion *x, const EvoJson *v, GError **error)
{
  gboolean is_object = evo_json_kind (v) == EVO_JSON_OBJECT;

  if (x->out->len > LARGEST)
    return evo_fail_at (error, v, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX,
                        "with its variables filled in the pipeline is longer than %d bytes",
                        LARGEST);
  go_to_line_of (x, v);
  if (evo_json_kind (v) == EVO_JSON_STRING && g_strcmp0 (evo_json_key (v), "note") != 0)
    return write_text (x, v, error);
  if (!is_object && evo_json_kind (v) != EVO_JSON_ARRAY) {
    evo_json_add_value (&x->w, v);
    return TRUE;
  }
  (is_object ? evo_json_begin_object : evo_json_begin_array) (&x->w);
  for (guint i = 0; i < evo_json_size (v); i++) {
    const EvoJson *item = evo_json_at (v, i);

    if (is_object)
      evo_json_add_key (&x->w, evo_json_key (item));
    if (!write_value (x, item, error))
      return FALSE;
  }
  (is_object ? evo_json_end_object : evo_json_end_array) (&x->w);
  return TRUE;
}

static void
write_set (Expansion *x, Set *set, char *pointer)
{
  add_json_or_text (x, set->value, set->text);
  g_free (set->pointer);
  set->pointer = pointer;
}

/* The sets of one object that replaced none of its members come after them. */
static void
write_new_sets (Expansion *x, const char *node, const char *edge, const EvoJson *object, const char *pointer)
{
  for (guint i = 0; i < x->sets->n; i++) {
    Set *s = &x->sets->sets[i];

    if (g_str_equal (s->node, node) && g_strcmp0 (s->edge, edge) == 0 && evo_json_member (object, s->param) == NULL &&
        find_set (x->sets, node, edge, s->param) == s) {
      evo_json_add_key (&x->w, s->param);
      write_set (x, s, g_strconcat (pointer, "/", s->param, NULL));
    }
  }
}

/* One edge of `in` with its sets: a name becomes an object. label: "ja", or "ja#2" for the second edge from ja. */
static gboolean
write_edge (Expansion *x, const char *node, const char *label, const EvoJson *v, const char *pointer, GError **error)
{
  if (find_set (x->sets, node, label, NULL) == NULL)
    return write_value (x, v, error);
  go_to_line_of (x, v);
  evo_json_begin_object (&x->w);
  if (evo_json_kind (v) == EVO_JSON_STRING) {
    evo_json_add_key (&x->w, "from");
    evo_json_add_value (&x->w, v);
  }
  for (guint i = 0; i < evo_json_size (v); i++) {
    const EvoJson *member = evo_json_at (v, i);
    Set *s = find_set (x->sets, node, label, evo_json_key (member));

    evo_json_add_key (&x->w, evo_json_key (member));
    if (s != NULL)
      write_set (x, s, g_strconcat (pointer, "/", s->param, NULL));
    else if (!write_value (x, member, error))
      return FALSE;
  }
  write_new_sets (x, node, label, v, pointer);
  evo_json_end_object (&x->w);
  return TRUE;
}

static const char *
source_of (const EvoJson *edge)
{
  const char *name = evo_json_kind (edge) == EVO_JSON_STRING ? evo_json_string (edge) : evo_json_get_string (edge, "from");

  return name == NULL ? "" : name;
}

static gboolean
write_edges (Expansion *x, const char *node, const EvoJson *in, GError **error)
{
  gboolean is_list = evo_json_kind (in) == EVO_JSON_ARRAY;
  guint n = is_list ? evo_json_size (in) : 1;

  go_to_line_of (x, in);
  evo_json_begin_array (&x->w);
  for (guint i = 0; i < n; i++) {
    const EvoJson *edge = is_list ? evo_json_at (in, i) : in;
    guint nth = 1;
    g_autofree char *label = NULL, *pointer = g_strdup_printf ("/nodes/%s/in/%u", node, i);

    for (guint j = 0; j < i; j++)
      nth += g_str_equal (source_of (evo_json_at (in, j)), source_of (edge));
    label = nth == 1 ? g_strdup (source_of (edge)) : g_strdup_printf ("%s#%u", source_of (edge), nth);
    if (!write_edge (x, node, label, edge, pointer, error))
      return FALSE;
  }
  evo_json_end_array (&x->w);
  return TRUE;
}

static gboolean
write_node (Expansion *x, const EvoJson *v, GError **error)
{
  const char *node = evo_json_key (v);
  g_autofree char *pointer = g_strconcat ("/nodes/", node, NULL);

  if (evo_json_kind (v) != EVO_JSON_OBJECT)
    return write_value (x, v, error);
  go_to_line_of (x, v);
  evo_json_begin_object (&x->w);
  for (guint i = 0; i < evo_json_size (v); i++) {
    const EvoJson *member = evo_json_at (v, i);
    const char *key = evo_json_key (member);
    Set *s = find_set (x->sets, node, NULL, key);
    gboolean good = TRUE;

    evo_json_add_key (&x->w, key);
    if (s != NULL)
      write_set (x, s, g_strconcat (pointer, "/", key, NULL));
    else if (g_str_equal (key, "in") && evo_json_kind (member) != EVO_JSON_OBJECT && has_edge_sets (x->sets, node) &&
             evo_json_size (member) <= EVO_MAX_INPUTS)
      good = write_edges (x, node, member, error);
    else
      good = write_value (x, member, error);
    if (!good)
      return FALSE;
  }
  write_new_sets (x, node, NULL, v, pointer);
  evo_json_end_object (&x->w);
  return TRUE;
}

static gboolean
write_with_sets (Expansion *x, const EvoJson *root, GError **error)
{
  evo_json_begin_object (&x->w);
  for (guint i = 0; i < evo_json_size (root); i++) {
    const EvoJson *member = evo_json_at (root, i);
    gboolean is_nodes = g_str_equal (evo_json_key (member), "nodes") && evo_json_kind (member) == EVO_JSON_OBJECT;

    evo_json_add_key (&x->w, evo_json_key (member));
    if (!is_nodes && !write_value (x, member, error))
      return FALSE;
    if (!is_nodes)
      continue;
    go_to_line_of (x, member);
    evo_json_begin_object (&x->w);
    for (guint j = 0; j < evo_json_size (member); j++) {
      evo_json_add_key (&x->w, evo_json_key (evo_json_at (member, j)));
      if (!write_node (x, evo_json_at (member, j), error))
        return FALSE;
    }
    evo_json_end_object (&x->w);
  }
  evo_json_end_object (&x->w);
  return TRUE;
}

/* Those names that a message can show: nothing has checked them yet. */
static void
add_name (GPtrArray *names, const char *name)
{
  if (evo_is_plain_name (name))
    g_ptr_array_add (names, g_strdup (name));
}

static char **
keys_of (const EvoJson *object)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; evo_json_kind (object) == EVO_JSON_OBJECT && i < evo_json_size (object); i++)
    add_name (names, evo_json_key (evo_json_at (object, i)));
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
}

static char **
edges_of (const EvoJson *node)
{
  const EvoJson *in = evo_json_member (node, "in");
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);

  if (in != NULL && evo_json_kind (in) == EVO_JSON_STRING)
    add_name (names, evo_json_string (in));
  for (guint i = 0; in != NULL && i < evo_json_size (in); i++)
    add_name (names, source_of (evo_json_at (in, i)));
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&names), FALSE);
}

/* A set that changed nothing names a node or an edge that is not there. */
static gboolean
check_all_used (const EvoSets *sets, const EvoJson *root, GError **error)
{
  const EvoJson *nodes = evo_json_member (root, "nodes");

  for (guint i = 0; nodes != NULL && i < sets->n; i++) {
    const Set *s = &sets->sets[i];
    const EvoJson *node = evo_json_member (nodes, s->node);
    g_auto (GStrv) names = node == NULL ? keys_of (nodes) : edges_of (node);
    const char *name = node == NULL ? s->node : s->edge == NULL ? "" : s->edge;
    g_autofree char *hint = evo_names_hint (name, (const char *const *) names);
    g_autofree char *argument = evo_json_quoted (s->argument), *quoted = evo_json_quoted (name);

    if (node == NULL)
      return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "--set %s: there is no node %s%s", argument, quoted, hint);
    if (s->edge != NULL && s->pointer == NULL && find_set (sets, s->node, s->edge, s->param) == s && evo_json_kind (node) == EVO_JSON_OBJECT)
      return evo_set_error (error, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "--set %s: \"%s\" has no edge from %s%s", argument, s->node, quoted,
                            hint);
  }
  return TRUE;
}

static EvoJsonDoc *
rewrite (const EvoJsonDoc *doc, const EvoSets *sets, GError **error)
{
  const EvoJson *root = evo_json_root (doc);
  g_autoptr (GString) out = g_string_new (NULL);
  Expansion x = { .out = out, .line = 1, .sets = sets };
  gboolean written;

  evo_json_writer_init (&x.w, out, FALSE);
  go_to_line_of (&x, root);
  written = sets != NULL && evo_json_kind (root) == EVO_JSON_OBJECT ? write_with_sets (&x, root, error) : write_value (&x, root, error);
  return written ? evo_json_parse (out->str, (gssize) out->len, evo_json_name (root), EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_SYNTAX, error) : NULL;
}

EvoJsonDoc *
evo_expand (const EvoJsonDoc *doc, EvoSets *sets, GError **error)
{
  g_autoptr (EvoJsonDoc) filled = rewrite (doc, NULL, error), set = NULL;

  if (filled == NULL || sets->n == 0)
    return g_steal_pointer (&filled);
  set = rewrite (filled, sets, error);
  return set != NULL && check_all_used (sets, evo_json_root (filled), error) ? g_steal_pointer (&set) : NULL;
}
