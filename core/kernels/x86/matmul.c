/* SPDX-License-Identifier: Apache-2.0
 * matmul.c - y = x W^T in registers: ROWS rows of x against COLUMNS rows of W, packed so that they are read front to back.
 *
 * Packed W: blocks of COLUMNS rows (the last filled up with zeros), each [n_cols][COLUMNS]; bf16: [n_cols / 2][COLUMNS][2], a 32-bit word
 * holds two columns. An element of y is one chain of multiply-adds over the columns in order; it passes through y between blocks of
 * columns, which changes no bit.
 */
#include <string.h>

#include "core/kernels/slots.h"
#include "core/kernels/x86/lanes.h"

enum { ROWS = 6, VECTORS = LANES == 16 ? 4 : 2, COLUMNS = VECTORS * LANES, DEPTH = 256 /* even */ };

static size_t
block_bytes (EvoWeightType type, size_t n_cols)
{
  if (type == EVO_WEIGHT_F32)
    return n_cols * COLUMNS * 4;
  return (type == EVO_WEIGHT_BF16 ? (n_cols + 1) / 2 * 2 : n_cols) * COLUMNS * 2;
}

size_t
KERNEL (packed_bytes) (EvoWeightType type, size_t n_rows, size_t n_cols)
{
  return (n_rows + COLUMNS - 1) / COLUMNS * block_bytes (type, n_cols);
}

static void
pack_f32 (float *to, const float *w, size_t n, size_t n_cols)
{
  for (size_t k = 0; k < n_cols; k++)
    for (size_t j = 0; j < n; j++)
      to[k * COLUMNS + j] = w[j * n_cols + k];
}

static void
pack_16 (uint16_t *to, const uint16_t *w, size_t n, size_t n_cols, size_t together)
{
  for (size_t k = 0; k < n_cols; k++)
    for (size_t j = 0; j < n; j++)
      to[k / together * together * COLUMNS + j * together + k % together] = w[j * n_cols + k];
}

void
KERNEL (pack) (void *packed, const void *w, EvoWeightType type, size_t n_rows, size_t n_cols)
{
  const size_t bytes = block_bytes (type, n_cols);
  char *to = packed;

  for (size_t r = 0; r < n_rows; r += COLUMNS, to += bytes) {
    const size_t n = n_rows - r < COLUMNS ? n_rows - r : COLUMNS;

    if (n < COLUMNS || (type == EVO_WEIGHT_BF16 && n_cols % 2 != 0))
      memset (to, 0, bytes);
    if (type == EVO_WEIGHT_F32)
      pack_f32 ((float *) to, (const float *) w + r * n_cols, n, n_cols);
    else
      pack_16 ((uint16_t *) to, (const uint16_t *) w + r * n_cols, n, n_cols, type == EVO_WEIGHT_BF16 ? 2 : 1);
  }
}

INLINE void
add_products (Lanes sum[ROWS][VECTORS], const float *x, size_t ldx, const Lanes w[VECTORS], unsigned rows)
{
  for (unsigned r = 0; r < rows; r++) {
    const Lanes a = all (x[r * ldx]);

    for (unsigned v = 0; v < VECTORS; v++)
      sum[r][v] = fused (a, w[v], sum[r][v]);
  }
}

INLINE void
add_f32 (Lanes sum[ROWS][VECTORS], const float *x, size_t ldx, const float *w, size_t depth, unsigned rows)
{
  for (size_t k = 0; k < depth; k++) {
    Lanes b[VECTORS];

    for (unsigned v = 0; v < VECTORS; v++)
      b[v] = load (w + k * COLUMNS + v * LANES);
    add_products (sum, x + k, ldx, b, rows);
  }
}

INLINE void
add_f16 (Lanes sum[ROWS][VECTORS], const float *x, size_t ldx, const uint16_t *w, size_t depth, unsigned rows)
{
  for (size_t k = 0; k < depth; k++) {
    Lanes b[VECTORS];

    for (unsigned v = 0; v < VECTORS; v++)
      b[v] = widen_f16 (w + k * COLUMNS + v * LANES);
    add_products (sum, x + k, ldx, b, rows);
  }
}

INLINE void
add_bf16 (Lanes sum[ROWS][VECTORS], const float *x, size_t ldx, const uint16_t *w, size_t depth, unsigned rows)
{
  for (size_t k = 0; k < depth; k += 2) {
    Words pair[VECTORS];
    Lanes b[VECTORS];

    for (unsigned v = 0; v < VECTORS; v++) {
      pair[v] = load_words (w + k * COLUMNS + v * 2 * LANES);
      b[v] = even_bf16 (pair[v]);
    }
    add_products (sum, x + k, ldx, b, rows);
    if (k + 1 == depth)
      return;
    for (unsigned v = 0; v < VECTORS; v++)
      b[v] = odd_bf16 (pair[v]);
    add_products (sum, x + k + 1, ldx, b, rows);
  }
}

typedef struct {
  float *y;
  const float *x;
  const void *w;
  size_t ldy, ldx, depth;
  EvoWeightType type;
  int begins; /* y holds nothing yet */
} Tile;

INLINE void
multiply (const Tile *t, unsigned rows)
{
  Lanes sum[ROWS][VECTORS];

  for (unsigned r = 0; r < rows; r++)
    for (unsigned v = 0; v < VECTORS; v++)
      sum[r][v] = t->begins ? none () : load (t->y + r * t->ldy + v * LANES);
  if (t->type == EVO_WEIGHT_F32)
    add_f32 (sum, t->x, t->ldx, t->w, t->depth, rows);
  else if (t->type == EVO_WEIGHT_BF16)
    add_bf16 (sum, t->x, t->ldx, t->w, t->depth, rows);
  else
    add_f16 (sum, t->x, t->ldx, t->w, t->depth, rows);
  for (unsigned r = 0; r < rows; r++)
    for (unsigned v = 0; v < VECTORS; v++)
      store (t->y + r * t->ldy + v * LANES, sum[r][v]);
}

static void
multiply_rows (const Tile *t, size_t rows)
{
  switch (rows) {
  case 1: multiply (t, 1); break;
  case 2: multiply (t, 2); break;
  case 3: multiply (t, 3); break;
  case 4: multiply (t, 4); break;
  case 5: multiply (t, 5); break;
  default: multiply (t, ROWS); break;
  }
}

/* The last rows of W do not fill a block: the products go by a tile of their own. */
static void
multiply_some (const Tile *t, size_t rows, size_t n)
{
  float y[ROWS][COLUMNS];
  Tile own = *t;

  own.y = y[0];
  own.ldy = COLUMNS;
  for (size_t r = 0; r < rows && !t->begins; r++)
    memcpy (y[r], t->y + r * t->ldy, n * sizeof (float));
  for (size_t r = 0; r < rows && !t->begins; r++)
    memset (y[r] + n, 0, (COLUMNS - n) * sizeof (float));
  multiply_rows (&own, rows);
  for (size_t r = 0; r < rows; r++)
    memcpy (t->y + r * t->ldy, y[r], n * sizeof (float));
}

void
KERNEL (matmul) (float *y, size_t ldy, const float *x, size_t ldx, size_t m, const void *packed, EvoWeightType type, size_t n_rows,
                 size_t n_cols, size_t row0, size_t row1, void *scratch)
{
  const size_t bytes = block_bytes (type, n_cols), size = type == EVO_WEIGHT_F32 ? 4 : 2;

  for (size_t r = row0; r < row1; r += COLUMNS) {
    const char *w = (const char *) packed + r / COLUMNS * bytes;
    const size_t n = row1 - r < COLUMNS ? row1 - r : COLUMNS;

    for (size_t k = 0; k < n_cols || k == 0; k += DEPTH)
      for (size_t i = 0; i < m; i += ROWS) {
        const size_t rows = m - i < ROWS ? m - i : ROWS;
        const Tile t = { y + i * ldy + r, x + i * ldx + k, w + k * COLUMNS * size, ldy, ldx, n_cols - k < DEPTH ? n_cols - k : DEPTH,
                         type, k == 0 };

        if (n == COLUMNS)
          multiply_rows (&t, rows);
        else
          multiply_some (&t, rows, n);
      }
  }
}

size_t
KERNEL (matmul_scratch) (size_t m, size_t n_cols)
{
  return 0;
}
