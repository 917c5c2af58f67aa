/* SPDX-License-Identifier: Apache-2.0
 * gather.c - which row of which input each token of the result has.
 */
#include "core/base/error.h"
#include "core/graph/read/read.h"
#include "core/graph/vocab/vocab.h"

void
evo_gather_free (EvoGather *g)
{
  if (g == NULL)
    return;
  for (guint e = 0; e <= g->n_in; e++)
    g_free (g->own[e]);
  g_free (g->own);
  g_free (g->rest);
  g_free (g);
}

static void
find_own (EvoGather *g, const EvoTokens *out, EvoTokens *const *in)
{
  for (guint e = 0; e <= g->n_in; e++) {
    if (in[e] == NULL)
      continue;
    g->own[e] = g_new (gint32, MAX (g->n_tokens, 1));
    for (gint64 id = 0; id < g->n_tokens; id++) {
      const EvoToken *t = evo_tokens_get (out, id);

      g->own[e][id] = t == NULL ? -1 : (gint32) evo_tokens_find (in[e], t->text);
    }
  }
}

/* What mergekit 0.1.5 does where nothing is said. first: the base, else the first input. */
static EvoRest
default_rest (const EvoGather *g, gint64 id, guint first)
{
  guint n = 0, have = 0, donor = 0;

  for (guint e = 0; e <= g->n_in; e++) {
    if (g->own[e] == NULL)
      continue;
    n++;
    if (g->own[e][id] < 0)
      continue;
    if (have++ == 0 || e == first)
      donor = e;
  }
  if (have == n)
    return (EvoRest){ .kind = EVO_REST_NONE };
  if (have == 0)
    return (EvoRest){ .kind = EVO_REST_ZERO };
  if (have == 1 || g->own[first][id] >= 0)
    return (EvoRest){ .kind = EVO_REST_ROW, .input = (guint16) donor, .row = g->own[donor][id] };
  return (EvoRest){ .kind = EVO_REST_MEAN };
}

static gboolean
fail_token (const EvoNode *node, const EvoTokenRule *rule, const char *text, GError **error)
{
  const EvoEdge *e = rule->input < node->n_in ? &node->in[rule->input] : &node->base;
  g_autofree char *quoted = evo_json_quoted (text);

  return evo_fail_at (error, rule->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "%s has no token %s; take its row from a model that has it, or from another "
                      "token: {\"kind\": \"model_token\", \"model\": NODE, \"token\": TEXT}", e->from->name, quoted);
}

static gboolean
apply_rule (EvoGather *g, const EvoNode *node, const EvoTokenRule *rule, gint64 id, EvoTokens *const *in, const gint64 *n_rows, GError **error)
{
  EvoRest rest = { .kind = EVO_REST_ROW, .input = (guint16) rule->input, .force = rule->force };

  if (rule->kind == EVO_TOKEN_ZERO) {
    rest.kind = EVO_REST_ZERO;
  } else if (rule->kind == EVO_TOKEN_ID) {
    if (rule->id >= n_rows[rule->input])
      return evo_fail_at (error, rule->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, "there is no row %" G_GINT64_FORMAT "; the model has %" G_GINT64_FORMAT, rule->id,
                          n_rows[rule->input]);
    rest.row = (gint32) rule->id;
  } else {
    const char *text = rule->kind == EVO_TOKEN_TEXT ? rule->other : rule->token;

    rest.row = (gint32) evo_tokens_find (in[rule->input], text);
    if (rest.row < 0)
      return fail_token (node, rule, text, error);
  }
  g->rest[id] = rest;
  return TRUE;
}

EvoGather *
evo_gather_new (const EvoNode *node, EvoTokens *out, EvoTokens *const *in, const gint64 *n_rows, GError **error)
{
  const EvoVocabSpec *s = node->vocab;
  g_autoptr (EvoGather) g = g_new0 (EvoGather, 1);
  guint first = node->base.from != NULL ? node->n_in : 0;

  g->n_in = node->n_in;
  g->n_tokens = evo_tokens_count (out);
  g->n_rows = (g->n_tokens + s->multiple - 1) / s->multiple * s->multiple;
  g->pads = g->n_rows > g->n_tokens;
  g->own = g_new0 (gint32 *, g->n_in + 1);
  g->rest = g_new0 (EvoRest, MAX (g->n_tokens, 1));
  find_own (g, out, in);
  for (gint64 id = 0; id < g->n_tokens; id++) {
    gboolean is_gap = evo_tokens_get (out, id) == NULL;

    g->rest[id] = is_gap ? (EvoRest){ .kind = EVO_REST_PADDING } : default_rest (g, id, first);
    g->pads |= is_gap;
  }
  for (guint i = 0; i < s->n_rules; i++)
    if (!apply_rule (g, node, &s->rules[i], evo_tokens_find (out, s->rules[i].token), in, n_rows, error))
      return NULL;
  return g_steal_pointer (&g);
}
