/* SPDX-License-Identifier: Apache-2.0
 * json.h - strict RFC 8259 reading with positions, and writing with shortest round-trip numbers.
 *
 * The scanner is ours: json-glib takes comments, duplicate keys and hex numbers, and makes -1 of 18446744073709551615. Depth <= 64,
 * well-formed UTF-8, finite numbers, no NUL in a text, no duplicate key. An EvoJson is one value; all values belong to their EvoJsonDoc and
 * die with it. Reading a document is safe from several threads.
 */
#ifndef EVO_BASE_JSON_H
#define EVO_BASE_JSON_H

#include <glib.h>

typedef struct EvoJsonDoc EvoJsonDoc;
typedef struct EvoJson EvoJson;
typedef enum { EVO_JSON_NULL, EVO_JSON_BOOL, EVO_JSON_NUMBER, EVO_JSON_STRING, EVO_JSON_ARRAY, EVO_JSON_OBJECT } EvoJsonKind;

/* --- json.c */
/* `name` is what messages call the text ("blend.json"). Errors: `domain`/`code`, with "name:line:column: what". */
EvoJsonDoc *evo_json_parse (const char *text, gssize n, const char *name, GQuark domain, gint code, GError **error);
EvoJsonDoc *evo_json_parse_file (const char *path, GQuark domain, gint open_code, gint syntax_code, GError **error);
void evo_json_free (EvoJsonDoc *doc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoJsonDoc, evo_json_free)

const EvoJson *evo_json_root (const EvoJsonDoc *doc);
EvoJsonKind evo_json_kind (const EvoJson *v);
const char *evo_json_kind_name (EvoJsonKind kind);       /* "a number" */
guint evo_json_line (const EvoJson *v);                  /* 1-based line of the value's first character */
guint evo_json_column (const EvoJson *v);                /* 1-based, in characters */
const char *evo_json_pointer (const EvoJson *v);         /* "/nodes/blend/t"; root: "" */
const char *evo_json_key (const EvoJson *v);             /* member's key, NULL: not a member */
const char *evo_json_name (const EvoJson *v);            /* the document's name */
char *evo_json_where (const EvoJson *v);                 /* "blend.json:7: /nodes/blend/t" (owned) */
/* Sets *error to "where: what"; returns FALSE. */
gboolean evo_fail_at (GError **error, const EvoJson *at, GQuark domain, gint code, const char *format, ...) G_GNUC_PRINTF (5, 6);

guint evo_json_size (const EvoJson *v);                  /* members or elements; 0 for scalars and NULL */
const EvoJson *evo_json_at (const EvoJson *v, guint i);  /* in file order */
const EvoJson *evo_json_member (const EvoJson *object, const char *key); /* NULL: none, or not an object */
gboolean evo_json_bool (const EvoJson *v);
double evo_json_number (const EvoJson *v);
gboolean evo_json_is_integer (const EvoJson *v, gint64 *out); /* a whole number with |x| < 2^53 */
const char *evo_json_string (const EvoJson *v);          /* NULL unless a string; no NUL inside */
char *evo_json_text (const EvoJson *v);                  /* compact JSON, keys in file order, numbers as spelt (owned) */

/* Reader's shortcuts for files we did not write (config.json): NULL, def or FALSE where absent or of another kind. */
const char *evo_json_get_string (const EvoJson *object, const char *key);
double evo_json_get_number (const EvoJson *object, const char *key, double def);
gboolean evo_json_get_bool (const EvoJson *object, const char *key, gboolean def);

/* --- json-write.c: two-space indent when `pretty`. Containers are closed in order; a key stands before each member's value. */
typedef struct { GString *out; gboolean pretty; guint depth; gboolean first, after_key; } EvoJsonWriter;
void evo_json_writer_init (EvoJsonWriter *w, GString *out, gboolean pretty);
void evo_json_begin_object (EvoJsonWriter *w);
void evo_json_end_object (EvoJsonWriter *w);
void evo_json_begin_array (EvoJsonWriter *w);
void evo_json_end_array (EvoJsonWriter *w);
void evo_json_add_key (EvoJsonWriter *w, const char *key);
void evo_json_add_string (EvoJsonWriter *w, const char *s);          /* NULL: null */
void evo_json_add_text (EvoJsonWriter *w, const char *s, gsize n);   /* bytes; NUL and broken UTF-8 become U+FFFD */
void evo_json_add_number (EvoJsonWriter *w, double x);               /* non-finite: null */
void evo_json_add_integer (EvoJsonWriter *w, gint64 x);
void evo_json_add_bool (EvoJsonWriter *w, gboolean x);
void evo_json_add_null (EvoJsonWriter *w);
void evo_json_add_value (EvoJsonWriter *w, const EvoJson *v);        /* a whole parsed value; numbers as spelt: 8.0 stays 8.0 */
/* Somebody else's text for a message: in quotes, escaped to one line, shortened to 60 bytes (owned). */
char *evo_json_quoted (const char *text);

#endif
