/* SPDX-License-Identifier: Apache-2.0
 * test-abi.c - plugins compiled against the archived headers of ABI 1.0 load, and work, in today's host.
 */
#include <glib/gstdio.h>

#include "core/abi/evopipe-model.h"
#include "core/kernels/kernels.h"
#include "core/param/param.h"
#include "core/registry/registry.h"

#include "layout.h"

typedef struct { double factor; gint64 count; gboolean flip; guint32 how; const char *word; } OldParams; /* as old-plugin.c */
typedef struct { double weight; } OldInput;

static const EvoOp *
load (EvoRegistry *r, const char *kind)
{
  g_autofree char *file = g_strdup_printf ("old-%s.so", kind), *name = g_strdup_printf ("%s.old", kind);
  g_autofree char *path = g_build_filename (g_getenv ("EVO_BUILD"), "tests", "abi", file, NULL);
  g_autoptr (GError) error = NULL;

  evo_registry_load (r, path, &error);
  g_assert_no_error (error);
  const EvoRegistered *e = evo_registry_find (r, name, &error);
  g_assert_no_error (error);
  return e->op;
}

static void
check_params (const EvoOp *op, OldParams *p)
{
  g_assert_cmpuint (op->params_size, ==, sizeof *p);
  g_assert_cmpuint (evo_param_count (op->params), ==, 5);
  evo_param_set_defaults (op->params, p);
  g_assert_true (p->factor == 2 && p->count == 3 && p->flip == FALSE && p->how == 1);
  g_assert_cmpstr (p->word, ==, "old");
}

static void
test_merge (void)
{
  g_autoptr (EvoRegistry) r = evo_registry_new ();
  const EvoMergeOp *op = (const EvoMergeOp *) load (r, "merge");
  const float a[] = { 1, 2, 3 }, b[] = { 10, 20, 30 }, *in[] = { a, b };
  OldInput first = { 0.5 }, second = { 0.25 };
  const void *in_params[] = { &first, &second };
  const EvoTensor tensor = { .name = "t", .layer = -1, .n_dims = 1, .dims = { 3 }, .n_rows = 1, .n_cols = 3, .n = 3 };
  float out[3];
  OldParams p;
  EvoMergeCall call = { .size = sizeof call, .k = evo_kernels_get (), .t = &tensor, .params = &p, .in_params = in_params, .n_in = 2, .in = in,
                        .out = out, .n = 3 };

  check_params ((const EvoOp *) op, &p);
  g_assert_cmpuint (op->in_params_size, ==, sizeof first);
  g_assert_true (op->merge (&call, NULL));
  g_assert_true (out[0] == 6 && out[1] == 12 && out[2] == 18);
  call.n_in = 0;
  g_autoptr (GError) error = NULL;
  g_assert_false (op->merge (&call, &error));
  g_assert_cmpstr (error->message, ==, "no inputs");
  g_assert_true (error->domain == EVO_PLUGIN_ERROR && error->code == EVO_PLUGIN_ERROR_PARAM);
}

static void
test_optimizer (void)
{
  g_autoptr (EvoRegistry) r = evo_registry_new ();
  const EvoOptimizerOp *op = (const EvoOptimizerOp *) load (r, "optimizer");
  const EvoDim dims[] = { { .name = "x", .high = 1, .start = 0.25 }, { .name = "y", .high = 1, .start = 0.5 } };
  double x[2], loss = 1;
  EvoOutcome outcome = { .trial = 0, .loss = &loss };
  OldParams p;

  check_params ((const EvoOp *) op, &p);
  gpointer self = op->open (dims, 2, 1, &p, 1, evo_kernels_get (), NULL);
  g_assert_cmpint (op->ask (self, 0, x), ==, EVO_ASKED_GIVEN);
  g_assert_true (x[0] == 2.5);
  op->tell (self, x, &outcome);
  g_assert_cmpint (op->ask (self, 1, x), ==, EVO_ASKED_GIVEN);
  g_assert_true (x[0] == 4.5);
  g_assert_cmpint (op->ask (self, 2, x), ==, EVO_ASKED_DONE);
  op->close (self);
}

static void
test_evaluator (void)
{
  g_autoptr (EvoRegistry) r = evo_registry_new ();
  const EvoEvaluatorOp *op = (const EvoEvaluatorOp *) load (r, "evaluator");
  const EvoRows rows = { .size = sizeof rows, .n_rows = 3 };
  const EvoAnswer answer = { .text = { "four", 4 } };
  g_autoptr (GError) error = NULL;
  EvoRequest request = { 0 };
  OldParams p;
  double value;

  check_params ((const EvoOp *) op, &p);
  gpointer self = op->open (&p, &rows, 1, NULL);
  g_assert_cmpint (op->n_items (self), ==, 3);
  g_assert_true (op->request (self, 2, &request, NULL) && request.kind == EVO_REQUEST_GENERATE && request.max_tokens == 7);
  g_assert_true (op->judge (self, 2, &answer, &value, NULL) && value == 4);
  g_assert_false (op->request (self, 3, &request, &error));
  g_assert_cmpstr (error->message, ==, "there is no item 3");
  g_assert_true (op->reduce == NULL && op->extra_names == NULL);
  op->close (self);
}

static guint
one_tensor (const EvoCheckpoint *c)
{
  return 1;
}

static void
test_model (void)
{
  g_autoptr (EvoRegistry) r = evo_registry_new ();
  const EvoModelOp *op = (const EvoModelOp *) load (r, "model");
  const EvoCheckpoint checkpoint = { .size = sizeof checkpoint, .n_tensors = one_tensor };
  EvoRole role = { .kind = EVO_ROLE_MLP, .layer = 3 };
  OldParams p;

  check_params ((const EvoOp *) op, &p);
  g_assert_true (op->claim (&checkpoint) && op->decoder == NULL);
  op->role (&checkpoint, "t", &role);
  g_assert_true (role.kind == EVO_ROLE_EMBED && role.layer == -1);
}

/* Somebody outside this tree: one file, one compiler call, a folder in EVOPIPE_PLUGIN_PATH. */
static void
test_outsider (void)
{
  g_autofree char *folder = g_dir_make_tmp ("evo-abi-XXXXXX", NULL), *file = g_build_filename (folder, "untidy.so", NULL), *errors = NULL;
  g_autofree char *command = g_strdup_printf ("cc -shared -fPIC $(pkg-config --cflags glib-2.0) -I'%s/core/abi' '%s/tests/abi/untidy.c' -o '%s'",
                                              g_getenv ("EVO_SOURCE"), g_getenv ("EVO_SOURCE"), file);
  char *shell[] = { (char *) "/bin/sh", (char *) "-c", command, NULL };
  g_autoptr (GError) error = NULL;
  int status = 0;

  g_spawn_sync (NULL, shell, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, &errors, &status, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (errors, ==, "");
  g_assert_cmpint (status, ==, 0);
  g_setenv ("EVOPIPE_PLUGIN_PATH", folder, TRUE);
  g_autoptr (EvoRegistry) r = evo_registry_new ();
  const EvoRegistered *e = evo_registry_find (r, "merge.untidy", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (e->file, ==, file);
  g_remove (file);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/abi/merge", test_merge);
  g_test_add_func ("/abi/optimizer", test_optimizer);
  g_test_add_func ("/abi/evaluator", test_evaluator);
  g_test_add_func ("/abi/model", test_model);
  g_test_add_func ("/abi/outsider", test_outsider);
  return g_test_run ();
}
