/* SPDX-License-Identifier: Apache-2.0
 * order.c - puts inputs before users, otherwise in order of the file; names every node of a cycle.
 */
#include <string.h>

#include "core/graph/read/read.h"

typedef struct { EvoNode *node; guint next; } Step;  /* next: the input to look at */

enum { NEW, OPEN, DONE };

typedef struct {
  GHashTable *state;   /* node -> NEW (absent), OPEN, DONE */
  GArray *path;        /* Step: the nodes that are open, each read by the one before it */
  GPtrArray *sorted;
} Walk;

/* Input i of a node, whatever it is for; NULL: there are no more. */
static EvoNode *
input (const EvoNode *node, guint i)
{
  guint n = node->n_in + node->search.n_objectives;

  if (i < node->n_in)
    return node->in[i].from;
  if (i < n)
    return node->search.objectives[i - node->n_in].evaluator;
  if (i == n && (node->base.from != NULL || node->search.validate != NULL))
    return node->base.from != NULL ? node->base.from : node->search.validate;
  return NULL;
}

/* From the node that comes first in the file (members of one object lie in order). */
static gboolean
fail_cycle (const Walk *w, const EvoNode *again, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  const Step *steps = (const Step *) w->path->data, *cycle = steps + w->path->len;
  guint n, first = 0;

  do
    cycle--;
  while (cycle->node != again);
  n = w->path->len - (guint) (cycle - steps);
  for (guint i = 1; i < n; i++)
    if (cycle[i].node->where < cycle[first].node->where)
      first = i;
  for (guint i = 0; i <= n; i++)
    g_string_append_printf (text, "%s%s", i == 0 ? "" : " -> ", cycle[(first + i) % n].node->name);
  return evo_fail_at (error, cycle[first].node->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_CYCLE, "needs itself: %s", text->str);
}

static void
enter (Walk *w, EvoNode *node)
{
  Step step = { node, 0 };

  g_hash_table_insert (w->state, node, GINT_TO_POINTER (OPEN));
  g_array_append_val (w->path, step);
}

/* Depth first with a path of its own: as deep as there are nodes. */
static gboolean
visit (Walk *w, EvoNode *start, GError **error)
{
  if (g_hash_table_contains (w->state, start))
    return TRUE;
  enter (w, start);
  while (w->path->len > 0) {
    Step *top = &g_array_index (w->path, Step, w->path->len - 1);
    EvoNode *next = input (top->node, top->next++);
    int state = next == NULL ? DONE : GPOINTER_TO_INT (g_hash_table_lookup (w->state, next));

    if (next == NULL) {
      g_hash_table_insert (w->state, top->node, GINT_TO_POINTER (DONE));
      g_ptr_array_add (w->sorted, top->node);
      g_array_set_size (w->path, w->path->len - 1);
    } else if (state == OPEN) {
      return fail_cycle (w, next, error);
    } else if (state == NEW) {
      enter (w, next);
    }
  }
  return TRUE;
}

static guint
above (const EvoNode *evaluator, const guint *n)
{
  return evaluator->n_in > 0 ? n[evaluator->in[0].from->index] : 1;
}

/* A merge inside a merge is computed as often as it is read: a chain of them, each reading the one before twice, would never end. Walks from a
 * model to its sources go through searches too. */
static gboolean
check_size (const EvoGraph *g, GError **error)
{
  g_autofree guint *n = g_new0 (guint, g->nodes->len + 1);

  for (guint i = 0; i < g->nodes->len; i++) {
    const EvoNode *node = g->nodes->pdata[i];

    n[i] = node->kind == EVO_KIND_OPTIMIZER && node->search.n_objectives > 0 ? above (node->search.objectives[0].evaluator, n) : 1;
    for (guint e = 0; node->kind == EVO_KIND_MERGE && e <= node->n_in; e++) {
      const EvoNode *from = e < node->n_in ? node->in[e].from : node->base.from;

      n[i] += from == NULL ? 0 : n[from->index];
      if (n[i] > EVO_MAX_ABOVE)
        return evo_fail_at (error, node->where, EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_PORT,
                            "stands on more than %d nodes, each counted as often as it is "
                            "read; save inner merges and read what was saved", EVO_MAX_ABOVE);
    }
  }
  return TRUE;
}

gboolean
evo_sort_nodes (EvoGraph *g, GError **error)
{
  g_autoptr (GHashTable) state = g_hash_table_new (NULL, NULL);
  g_autoptr (GArray) path = g_array_new (FALSE, FALSE, sizeof (Step));
  g_autoptr (GPtrArray) sorted = g_ptr_array_new ();
  Walk w = { state, path, sorted };

  for (guint i = 0; i < g->nodes->len; i++)
    if (!visit (&w, g->nodes->pdata[i], error))
      return FALSE;
  for (guint i = 0; i < sorted->len; i++) {
    g->nodes->pdata[i] = sorted->pdata[i];
    ((EvoNode *) sorted->pdata[i])->index = i;
  }
  return check_size (g, error);
}
