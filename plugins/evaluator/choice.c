/* SPDX-License-Identifier: Apache-2.0
 * evaluator.choice - which of an item's choices the model finds likeliest, as lm-evaluation-harness scores multiple choice.
 *
 * The context is the prompt, a continuation is `delimiter` and the choice. The largest log-likelihood wins (accuracy), or the
 * largest per character of the choice (the harness's acc_norm), or per token; the first of equals.
 */
#include "item.h"
#include "list.h"

typedef enum { BY_SUM, BY_CHARACTER, BY_TOKEN } Normalize;
typedef enum { AUTO, INDEX, LETTER, TEXT } AnswerIs;

typedef struct {
  EvoStrings choices;
  const char *answer, *prompt_field, *delimiter;
  guint32 answer_is, normalize;
  gint64 first_index;
} ChoiceParams;

static const EvoParam params[] = {
  EVO_STRINGS (ChoiceParams, choices, "Fields of the choices, or one field that holds them as a list; not given: \"choices\"."),
  EVO_STRING (ChoiceParams, answer, "answer", "Field of the right choice."),
  EVO_CHOICE (ChoiceParams, answer_is, AUTO, "What that field holds; auto: whichever fits, an error where two fit and differ.", "auto", "index",
              "letter", "text"),
  EVO_INTEGER (ChoiceParams, first_index, 0, EVO_LIMITS (0, 1), "Index of the first choice."),
  EVO_STRING (ChoiceParams, prompt_field, NULL, "Field that is the prompt where there is no template; not given: \"prompt\", else \"question\"."),
  EVO_STRING (ChoiceParams, delimiter, " ", "Between the prompt and a choice."),
  EVO_CHOICE (ChoiceParams, normalize, BY_SUM, "What log-likelihoods are divided by before they are compared.", "none", "characters", "tokens"),
  EVO_PARAMS_END
};

typedef struct { EvoText *choices, *texts; guint n, gold; } Item; /* choices: with delimiter; texts: as in the data */
typedef struct {
  const ChoiceParams *p;
  const EvoRows *rows;
  Prompts prompts;
  Item *items;         /* [n_rows] */
  GStringChunk *chunk; /* what the items' texts lie in */
} Choices;

static gboolean
fail_row (const Choices *c, gint64 row, GError **error, const char *what, EvoText cell)
{
  g_autofree char *quote = item_quote (cell);

  return evo_fail (error, EVO_PLUGIN_ERROR_FILE, "%s:%" G_GINT64_FORMAT ": %s: \"%s\"", c->rows->file, c->rows->lines[row], what, quote);
}

static EvoText
keep (Choices *c, const char *bytes, gsize n)
{
  return (EvoText){ g_string_chunk_insert_len (c->chunk, bytes, (gssize) n), n };
}

static void
add_choice (Choices *c, Item *item, EvoText text)
{
  g_autoptr (GString) whole = g_string_new (c->p->delimiter);

  g_string_append_len (whole, text.bytes, (gssize) text.n);
  item->texts[item->n] = keep (c, text.bytes, text.n);
  item->choices[item->n++] = keep (c, whole->str, whole->len);
}

static gboolean
read_choices (Choices *c, gint64 row, const guint *fields, guint n_fields, GError **error)
{
  EvoText first = item_cell (c->rows, row, fields[0]);
  g_autoptr (GPtrArray) list = n_fields == 1 ? list_parse (first) : NULL;
  guint n = n_fields == 1 ? list == NULL ? 0 : list->len : n_fields;
  Item *item = &c->items[row];

  if (list == NULL && n_fields == 1)
    return fail_row (c, row, error, "the choices are not a JSON list of texts", first);
  if (n < 2)
    return fail_row (c, row, error, "one choice is no choice; at least two are needed", first);
  item->texts = g_new (EvoText, n);
  item->choices = g_new (EvoText, n);
  for (guint i = 0; i < n; i++) {
    const GString *text = list == NULL ? NULL : list->pdata[i];
    EvoText cell = list == NULL ? item_cell (c->rows, row, fields[i]) : (EvoText){ text->str, text->len };

    if (cell.n == 0)
      return fail_row (c, row, error, "a choice is empty", first);
    add_choice (c, item, cell);
  }
  return TRUE;
}

/* The answer as an index, one of the three ways; -1: it is none */
static gint64
answer_as (const Choices *c, const Item *item, EvoText cell, AnswerIs way)
{
  gint64 index = 0;

  for (guint i = 0; way == TEXT && i < item->n; i++)
    if (item->texts[i].n == cell.n && memcmp (item->texts[i].bytes, cell.bytes, cell.n) == 0)
      return i;
  if (way == LETTER && cell.n == 1 && g_ascii_isalpha (cell.bytes[0]) && g_ascii_toupper (cell.bytes[0]) - 'A' < (int) item->n)
    return g_ascii_toupper (cell.bytes[0]) - 'A';
  if (way != INDEX || cell.n == 0 || cell.n > 4)
    return -1;
  for (gsize i = 0; i < cell.n; i++) {
    if (!g_ascii_isdigit (cell.bytes[i]))
      return -1;
    index = 10 * index + cell.bytes[i] - '0';
  }
  index -= c->p->first_index;
  return index < item->n ? index : -1;
}

static gboolean
read_answer (Choices *c, gint64 row, guint field, GError **error)
{
  EvoText cell = item_cell (c->rows, row, field);
  Item *item = &c->items[row];
  gint64 gold = -1;

  for (guint32 way = INDEX; way <= TEXT; way++) {
    gint64 found = c->p->answer_is == AUTO || c->p->answer_is == way ? answer_as (c, item, cell, way) : -1;

    if (found >= 0 && gold >= 0 && found != gold)
      return fail_row (c, row, error, "the answer fits two choices; \"answer_is\" says which way it is meant", cell);
    gold = MAX (gold, found);
  }
  if (gold < 0)
    return fail_row (c, row, error, "the answer is none of the choices, neither by index nor by letter nor as text", cell);
  item->gold = (guint) gold;
  return TRUE;
}

static gboolean
read_items (Choices *c, GError **error)
{
  static const char *const usual[] = { "choices" };
  EvoStrings names = c->p->choices.n > 0 ? c->p->choices : (EvoStrings){ usual, 1 };
  g_autofree guint *fields = g_new (guint, names.n);
  guint answer;

  for (gsize i = 0; i < names.n; i++)
    if (!item_find_field (c->rows, "choices", names.items[i], &fields[i], error))
      return FALSE;
  if (!item_find_field (c->rows, "answer", c->p->answer, &answer, error))
    return FALSE;
  for (gint64 row = 0; row < c->rows->n_rows; row++)
    if (!read_choices (c, row, fields, (guint) names.n, error) || !read_answer (c, row, answer, error))
      return FALSE;
  return TRUE;
}

static void
choice_close (gpointer self)
{
  Choices *c = self;

  for (gint64 i = 0; i < c->rows->n_rows; i++) {
    g_free (c->items[i].texts);
    g_free (c->items[i].choices);
  }
  prompts_clear (&c->prompts);
  g_string_chunk_free (c->chunk);
  g_free (c->items);
  g_free (c);
}

static gpointer
choice_open (const void *params_, const EvoRows *rows, guint64 seed, GError **error)
{
  const ChoiceParams *p = params_;
  Choices *c = g_new0 (Choices, 1);

  *c = (Choices){ .p = p, .rows = rows, .items = g_new0 (Item, MAX (rows->n_rows, 1)), .chunk = g_string_chunk_new (4096) };
  if (prompts_init (&c->prompts, rows, "prompt_field", p->prompt_field, error) && read_items (c, error))
    return c;
  choice_close (c);
  return NULL;
}

static gint64
choice_n_items (gpointer self)
{
  return ((Choices *) self)->rows->n_rows;
}

static gboolean
choice_request (gpointer self, gint64 item, EvoRequest *out, GError **error)
{
  Choices *c = self;

  out->kind = EVO_REQUEST_CHOICES;
  out->choices = c->items[item].choices;
  out->n_choices = c->items[item].n;
  return prompts_get (&c->prompts, item, &out->prompt, error);
}

static double
divisor (const Choices *c, const Item *item, const EvoAnswer *answer, guint i)
{
  if (c->p->normalize == BY_CHARACTER)
    return (double) MAX (g_utf8_strlen (item->texts[i].bytes, (gssize) item->texts[i].n), 1);
  return c->p->normalize == BY_TOKEN ? (double) MAX (answer->n_tokens[i], 1) : 1;
}

static gboolean
choice_judge (gpointer self, gint64 index, const EvoAnswer *answer, double *values, GError **error)
{
  const Choices *c = self;
  const Item *item = &c->items[index];
  guint best = 0;

  for (guint i = 1; i < item->n; i++)
    if (answer->log_likelihood[i] / divisor (c, item, answer, i) > answer->log_likelihood[best] / divisor (c, item, answer, best))
      best = i;
  values[0] = best == item->gold;
  return TRUE;
}

EVO_EVALUATOR_PLUGIN (.name = "choice", .summary = "Share of items whose right choice is the model's likeliest.",
                      EVO_TAKES (ChoiceParams, params), .n_values = 1, .flags = EVO_EVALUATOR_BINARY, .open = choice_open,
                      .n_items = choice_n_items, .request = choice_request, .judge = choice_judge, .close = choice_close)
