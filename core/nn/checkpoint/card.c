/* SPDX-License-Identifier: Apache-2.0
 * card.c - reads an architecture card and finds a tensor name's role in it.
 */
#include "core/nn/checkpoint/card.h"

#include <string.h>

#include "core/base/error.h"
#include "core/base/text.h"

enum { MOST_LAYERS = 100000 };

typedef struct { char *before, *after; /* of "{layer}"; after NULL: the whole name is `before` */ EvoRole role; } Pattern;

struct EvoCard {
  char *name;
  GArray *patterns;     /* Pattern */
};

static const char *const role_names[] = { "other", "embed", "head", "final_norm", "norm", "attention", "mlp", "buffer", NULL };

static void
pattern_clear (gpointer data)
{
  Pattern *p = data;

  g_free (p->before);
  g_free (p->after);
}

/* "attention q vision" */
static gboolean
parse_role (const EvoJson *v, EvoRole *role, GError **error)
{
  const char *text = evo_json_string (v);
  g_auto (GStrv) words = g_strsplit (text == NULL ? "" : text, " ", -1);
  guint n = g_strv_length (words), kind = 0;
  const char *slot;

  if (n < 1 || n > 3)
    return evo_fail_at (error, v, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "needs \"ROLE\", \"ROLE SLOT\" or \"ROLE SLOT MODULE\"");
  while (role_names[kind] != NULL && !g_str_equal (role_names[kind], words[0]))
    kind++;
  if (role_names[kind] == NULL) {
    g_autofree char *hint = evo_did_you_mean (words[0], role_names);

    return evo_fail_at (error, v, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "\"%s\" is no role%s", words[0], hint);
  }
  *role = (EvoRole){ .kind = kind, .layer = -1 };
  slot = n > 1 ? words[1] : kind == EVO_ROLE_EMBED || kind == EVO_ROLE_HEAD || kind == EVO_ROLE_FINAL_NORM ? words[0] : "";
  if (strlen (slot) >= sizeof role->slot || (n > 2 && strlen (words[2]) >= sizeof role->module))
    return evo_fail_at (error, v, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "a slot or module has at most %d bytes",
                        (int) sizeof role->slot - 1);
  strcpy (role->slot, slot);
  strcpy (role->module, n > 2 ? words[2] : "");
  return TRUE;
}

static gboolean
parse_pattern (const EvoJson *v, Pattern *p, GError **error)
{
  static const char hole[] = "{layer}";
  const char *pattern = evo_json_key (v), *at = strstr (pattern, hole);

  *p = (Pattern){ NULL };
  if (at != NULL && strstr (at + 1, hole) != NULL)
    return evo_fail_at (error, v, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "a pattern has one \"{layer}\" at most");
  if (!parse_role (v, &p->role, error))
    return FALSE;
  p->before = at == NULL ? g_strdup (pattern) : g_strndup (pattern, (gsize) (at - pattern));
  p->after = at == NULL ? NULL : g_strdup (at + strlen (hole));
  return TRUE;
}

static gboolean
parse_card (EvoCard *card, const EvoJson *root, GError **error)
{
  const EvoJson *tensors = evo_json_member (root, "tensors");
  const char *name = evo_json_get_string (root, "model_type");

  for (guint i = 0; i < evo_json_size (root); i++) {
    static const char *const keys[] = { "model_type", "note", "tensors", NULL };
    const EvoJson *v = evo_json_at (root, i);

    if (evo_json_kind (root) == EVO_JSON_OBJECT && !g_strv_contains (keys, evo_json_key (v)))
      return evo_fail_at (error, v, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "unknown key; a card has model_type, note, tensors");
  }
  if (name == NULL)
    return evo_fail_at (error, root, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "a card needs \"model_type\", a text");
  if (tensors == NULL || evo_json_kind (tensors) != EVO_JSON_OBJECT)
    return evo_fail_at (error, root, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "a card needs \"tensors\", an object of patterns");
  card->name = g_strdup (name);
  for (guint i = 0; i < evo_json_size (tensors); i++) {
    Pattern p;

    if (!parse_pattern (evo_json_at (tensors, i), &p, error))
      return FALSE;
    g_array_append_val (card->patterns, p);
  }
  return TRUE;
}

EvoCard *
evo_card_open (const char *path, GError **error)
{
  g_autoptr (EvoJsonDoc) doc = evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, error);
  g_autoptr (EvoCard) card = NULL;

  if (doc == NULL)
    return NULL;
  card = g_new0 (EvoCard, 1);
  card->patterns = g_array_new (FALSE, FALSE, sizeof (Pattern));
  g_array_set_clear_func (card->patterns, pattern_clear);
  if (!parse_card (card, evo_json_root (doc), error))
    return NULL;
  return g_steal_pointer (&card);
}

void
evo_card_free (EvoCard *card)
{
  if (card == NULL)
    return;
  g_array_unref (card->patterns);
  g_free (card->name);
  g_free (card);
}

const char *
evo_card_get_name (const EvoCard *card)
{
  return card->name;
}

/* The number at *text, as people write it; *text is moved behind it. -1: there is none. */
static gint32
read_layer (const char **text)
{
  const char *p = *text;
  gint32 layer = 0;

  if (!g_ascii_isdigit (*p) || (*p == '0' && g_ascii_isdigit (p[1])))
    return -1;
  for (; g_ascii_isdigit (*p); p++) {
    layer = 10 * layer + (*p - '0');
    if (layer >= MOST_LAYERS)
      return -1;
  }
  *text = p;
  return layer;
}

static gboolean
fits (const Pattern *p, const char *name, gint32 *layer)
{
  *layer = -1;
  if (p->after == NULL)
    return g_str_equal (p->before, name);
  if (!g_str_has_prefix (name, p->before))
    return FALSE;
  name += strlen (p->before);
  *layer = read_layer (&name);
  return *layer >= 0 && g_str_equal (p->after, name);
}

gboolean
evo_card_role (const EvoCard *card, const char *tensor, EvoRole *out)
{
  for (guint i = 0; i < card->patterns->len; i++) {
    const Pattern *p = &g_array_index (card->patterns, Pattern, i);
    gint32 layer;

    if (!fits (p, tensor, &layer))
      continue;
    *out = p->role;
    out->layer = layer;
    return TRUE;
  }
  *out = (EvoRole){ .kind = EVO_ROLE_OTHER, .layer = -1 };
  return FALSE;
}
