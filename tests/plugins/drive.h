/* SPDX-License-Identifier: Apache-2.0
 * drive.h - runs one merge operator on arrays, in the order the host does: exact cuts, sums of slices in index order, figures, solve, merge.
 *
 * It is written for clarity: keys are sorted, nothing runs in parallel. What it must have in common with core/graph is what operators may
 * rely on, so a test through the host (tests/graph) and one through this agree bit for bit.
 */
#ifndef TESTS_PLUGINS_DRIVE_H
#define TESTS_PLUGINS_DRIVE_H

#include "core/abi/evopipe.h"

enum { DRIVE_SLICE = 64 * 1024 };

typedef struct {                /* one tensor of the model */
  EvoTensor t;
  float **in, *base, *out;      /* [n_in][n], [n], [n]; owned */
  float **aux; gsize aux_n;     /* [n_in][aux_n] where the operator has a TENSORS parameter, else NULL: positive, or of a shape of its own a positive
                                 * definite matrix, unless a test says otherwise */
  guint64 *seeds;               /* [n_in] */
  gpointer params, *in_params;  /* resolved for this tensor; owned */
  double *coef; guint n_coef;
  double *sums; guint n_sums;   /* of all passes, before solve; not kept where there is one set a row */
  float *cut; gint64 *last_tie;
} DriveTensor;

typedef struct {
  const EvoMergeOp *op;
  const EvoKernels *k;
  guint n_in;
  gboolean has_base;
  GPtrArray *tensors;           /* DriveTensor */
  gsize merge_slice;            /* elements of a merge call of an operator by element; DRIVE_SLICE unless a test says otherwise */
} Drive;

Drive *drive_new (const EvoMergeOp *op, const EvoKernels *k, guint n_in, gboolean has_base);
void drive_free (Drive *d);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Drive, drive_free)
/* Adds a tensor with zeros for data, defaults for parameters and seeds 1, 2, ... times its number. */
DriveTensor *drive_add (Drive *d, guint n_dims, const gint64 *dims);
DriveTensor *drive_get (const Drive *d, guint i);
/* Sets parameter `name` of every tensor: of the operator (input -1) or of one input. Fails the test where there is none. */
void drive_set (Drive *d, gint input, const char *name, double value);
void drive_set_choice (Drive *d, gint input, const char *name, const char *value);
gboolean drive_run (Drive *d, GError **error);

const EvoParam *drive_find_param (const EvoParam *table, const char *name);
void drive_set_defaults (const EvoParam *table, gpointer object);

#endif
