/* SPDX-License-Identifier: Apache-2.0
 * checkpoint.c - the functions of the EvoCheckpoint table: what a model plugin may ask.
 */
#define G_LOG_DOMAIN "evopipe-nn"

#include "core/nn/checkpoint.h"

#include <string.h>

#include "core/nn/checkpoint/card.h"

typedef struct {
  EvoCheckpoint table;   /* first: the table is what plugins are given */
  EvoStore *store;
  char *folder;          /* of cards */
  GHashTable *cards;     /* model_type -> EvoCard *, NULL: there is none */
  EvoTensor *tensors;    /* [n] */
} Checkpoint;

static const Checkpoint *
self_of (const EvoCheckpoint *c)
{
  return c->self;
}

static guint
n_tensors (const EvoCheckpoint *c)
{
  return evo_store_get_n_tensors (self_of (c)->store);
}

static const EvoTensor *
tensor (const EvoCheckpoint *c, guint i)
{
  return i < n_tensors (c) ? &self_of (c)->tensors[i] : NULL;
}

static gboolean
has_file (const EvoCheckpoint *c, const char *name)
{
  g_autofree char *path = evo_store_find_file (self_of (c)->store, name);

  return path != NULL;
}

/* ------------------------------------------------------------------ config.json */

/* "rope_scaling/factor" */
static const EvoJson *
look_up (const EvoCheckpoint *c, const char *key)
{
  const EvoJson *v = evo_store_get_config (self_of (c)->store);
  g_auto (GStrv) parts = g_strsplit (key, "/", -1);

  for (guint i = 0; parts[i] != NULL && v != NULL; i++)
    v = evo_json_kind (v) == EVO_JSON_OBJECT ? evo_json_member (v, parts[i]) : NULL;
  return v;
}

static const char *
config_string (const EvoCheckpoint *c, const char *key)
{
  const EvoJson *v = look_up (c, key);

  return v == NULL ? NULL : evo_json_string (v);
}

static gboolean
as_number (const EvoJson *v, double *out)
{
  if (v == NULL || (evo_json_kind (v) != EVO_JSON_NUMBER && evo_json_kind (v) != EVO_JSON_BOOL))
    return FALSE;
  *out = evo_json_kind (v) == EVO_JSON_BOOL ? evo_json_bool (v) : evo_json_number (v);
  return TRUE;
}

static gboolean
config_number (const EvoCheckpoint *c, const char *key, double *out)
{
  return as_number (look_up (c, key), out);
}

/* How many numbers the list has, also where that is more than max; 0: no list, or something else is in it. */
static guint
config_list (const EvoCheckpoint *c, const char *key, double *out, guint max)
{
  const EvoJson *v = look_up (c, key);
  guint n = v != NULL && evo_json_kind (v) == EVO_JSON_ARRAY ? evo_json_size (v) : 0;

  for (guint i = 0; i < n; i++) {
    double x;

    if (!as_number (evo_json_at (v, i), &x))
      return 0;
    if (i < max)
      out[i] = x;
  }
  return n;
}

/* ------------------------------------------------------------------ cards */

/* Becomes a file name: only what published model types are made of. */
static gboolean
is_plain (const char *model_type)
{
  gsize n = strspn (model_type, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

  return n > 0 && n < 100 && model_type[n] == '\0';
}

static gboolean
read_card (const Checkpoint *self, const char *model_type, EvoCard **out, GError **error)
{
  g_autofree char *name = g_strconcat (model_type, ".json", NULL), *path = g_build_filename (self->folder, name, NULL);
  g_autoptr (EvoCard) card = NULL;

  *out = NULL;
  if (is_plain (model_type) && g_file_test (path, G_FILE_TEST_EXISTS)) {
    card = evo_card_open (path, error);
    if (card == NULL)
      return FALSE;
    *out = card;
  }
  g_hash_table_insert (self->cards, g_strdup (model_type), g_steal_pointer (&card));
  return TRUE;
}

static const EvoCard *
find_card (const EvoCheckpoint *c, const char *model_type)
{
  const Checkpoint *self = self_of (c);
  g_autoptr (GError) error = NULL;
  gpointer known;
  EvoCard *card;

  if (model_type == NULL)
    return NULL;
  if (g_hash_table_lookup_extended (self->cards, model_type, NULL, &known))
    return known;
  if (read_card (self, model_type, &card, &error))
    return card;
  g_warning ("%s", error->message);
  g_hash_table_insert (self->cards, g_strdup (model_type), NULL);
  return NULL;
}

static gboolean
has_card (const EvoCheckpoint *c, const char *model_type)
{
  return find_card (c, model_type) != NULL;
}

static gboolean
card_role (const EvoCheckpoint *c, const char *model_type, const char *name, EvoRole *out)
{
  const EvoCard *card = find_card (c, model_type);

  if (card != NULL)
    return evo_card_role (card, name, out);
  *out = (EvoRole){ .kind = EVO_ROLE_OTHER, .layer = -1 };
  return FALSE;
}

/* ------------------------------------------------------------------ life */

static void
free_card (gpointer card)
{
  evo_card_free (card);
}

static void
describe (EvoTensor *t, const EvoShape *s)
{
  *t = (EvoTensor){ .name = s->name, .layer = -1, .n_dims = s->n_dims, .n_rows = 1, .n_cols = 1, .n = s->n };
  for (guint i = 0; i < s->n_dims && i < G_N_ELEMENTS (t->dims); i++) {
    t->dims[i] = s->dims[i];
    if (i + 1 < s->n_dims)
      t->n_rows *= s->dims[i];
    else
      t->n_cols = s->dims[i];
  }
}

EvoCheckpoint *
evo_checkpoint_new (EvoStore *store, const char *cards, GError **error)
{
  Checkpoint *self = g_new0 (Checkpoint, 1);
  g_autoptr (EvoCheckpoint) c = &self->table;
  guint n = evo_store_get_n_tensors (store);
  const char *model_type;
  EvoCard *card;

  self->table = (EvoCheckpoint){ .size = sizeof (EvoCheckpoint), .self = self, .n_tensors = n_tensors, .tensor = tensor, .has_file = has_file,
                                 .config_string = config_string, .config_number = config_number, .config_list = config_list,
                                 .has_card = has_card, .card_role = card_role };
  self->store = evo_store_ref (store);
  self->folder = g_strdup (cards);
  self->cards = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_card);
  self->tensors = g_new0 (EvoTensor, MAX (n, 1));
  for (guint i = 0; i < n; i++)
    describe (&self->tensors[i], evo_store_get_tensor (store, i));
  model_type = config_string (c, "model_type");
  if (model_type != NULL && !read_card (self, model_type, &card, error))
    return NULL;
  return g_steal_pointer (&c);
}

void
evo_checkpoint_free (EvoCheckpoint *c)
{
  Checkpoint *self = (Checkpoint *) c;

  if (self == NULL)
    return;
  g_hash_table_unref (self->cards);
  evo_store_unref (self->store);
  g_free (self->folder);
  g_free (self->tensors);
  g_free (self);
}
