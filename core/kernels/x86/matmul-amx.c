/* SPDX-License-Identifier: Apache-2.0
 * matmul-amx.c - y = x W^T for bf16 weights in AMX tiles, as accurate as fp32 (matmul.c has the other weight types).
 *
 * A float has 24 bits of significand, a bf16 number 8: x = high + middle + low, each the upper half of what is left, is exact. The tile
 * instruction multiplies bf16 pairs and adds in fp32; three of them, for the three parts, add to the same tile of y.
 *
 * Packed W: tiles of 16 rows x 32 columns, [row / 16][column / 32][16 pairs][16 rows][2], filled up with zeros to 64 rows and 32 columns; a
 * pair is the columns p and p + 16 of the 32: so the parts of x are made by shifts and masks alone, without a shuffle. An element of y is
 * added up over the tiles in order whatever m is; it passes through y between blocks of columns, which changes no bit.
 */
#include <string.h>

#include "core/kernels/kernels.h"
#include "core/kernels/slots.h"
#include "core/kernels/x86/lanes.h"

enum { SIDE = 16, DEPTH = 32, TILE_BYTES = 1024, PARTS = 3, PADDED_ROWS = 64 };
/* Of x, split: 96 rows x 2048 columns x 6 bytes stay in a second-level cache of 2 MiB beside GROUP_BYTES of W. Where 32 rows and what is
 * read of W fit the first level, panels are as short as that. */
enum { PANEL_ROWS = 96, PANEL_TILES = 64, SHORT_ROWS = 32, SHORT_TILES = 5, GROUP_BYTES = 256 * 1024, SMALL_W = 1024 * 1024 };

/* The slots of the next lower table, for what has no tiles. */
#define FALLBACK_(slot) __typeof__ (*((EvoKernels *) 0)->slot) evo_avx512_##slot;
FALLBACK_ (packed_bytes)
FALLBACK_ (pack)
FALLBACK_ (matmul)
FALLBACK_ (matmul_scratch)

static size_t
up_to (size_t n, size_t unit)
{
  return (n + unit - 1) / unit * unit;
}

size_t
KERNEL (packed_bytes) (EvoWeightType type, size_t n_rows, size_t n_cols)
{
  if (type != EVO_WEIGHT_BF16)
    return evo_avx512_packed_bytes (type, n_rows, n_cols);
  return up_to (n_rows, PADDED_ROWS) * up_to (n_cols, DEPTH) * sizeof (uint16_t);
}

static void
pack_tile (uint16_t *to, const uint16_t *w, size_t n_rows, size_t n_cols, size_t ldw)
{
  if (n_rows < SIDE || n_cols < DEPTH)
    memset (to, 0, TILE_BYTES);
  for (size_t r = 0; r < n_rows; r++)
    for (size_t c = 0; c < n_cols; c++)
      to[c % SIDE * DEPTH + r * 2 + c / SIDE] = w[r * ldw + c];
}

static size_t
at_most (size_t n, size_t limit)
{
  return n < limit ? n : limit;
}

void
KERNEL (pack) (void *packed, const void *w, EvoWeightType type, size_t n_rows, size_t n_cols)
{
  const uint16_t *from = w;
  uint16_t *to = packed;

  if (type != EVO_WEIGHT_BF16) {
    evo_avx512_pack (packed, w, type, n_rows, n_cols);
    return;
  }
  for (size_t r = 0; r < up_to (n_rows, PADDED_ROWS); r += SIDE)
    for (size_t c = 0; c < n_cols; c += DEPTH, to += TILE_BYTES / 2)
      if (r < n_rows)
        pack_tile (to, from + r * n_cols + c, at_most (n_rows - r, SIDE), at_most (n_cols - c, DEPTH), n_cols);
      else
        memset (to, 0, TILE_BYTES);
}

/* ------------------------------------------------------------------ x in three parts */

/* upper halves: those of the first register in the lower halves of the words, those of the second in the upper */
INLINE void
store_upper (char *to, Words first, Words second)
{
  _mm512_storeu_si512 (to, _mm512_mask_blend_epi16 (0xaaaaaaaau, _mm512_srli_epi32 (first, 16), second));
}

INLINE Lanes
upper_half (Lanes x)
{
  return as_lanes (_mm512_and_si512 (as_words (x), all_words (0xffff0000u)));
}

/* 32 columns of one row into that row of the three tiles at `to` */
INLINE void
split (char *to, Lanes a, Lanes b)
{
  for (unsigned part = 0; part < PARTS; part++, to += TILE_BYTES) {
    store_upper (to, as_words (a), as_words (b));
    a = a - upper_half (a);
    b = b - upper_half (b);
  }
}

/* at most 16 rows of x into [n_cols / 32][3][16][32] */
static void
split_rows (char *to, const float *x, size_t ldx, size_t m, size_t n_cols)
{
  size_t c = 0;

  for (; c + DEPTH <= n_cols; c += DEPTH, to += PARTS * TILE_BYTES)
    for (size_t i = 0; i < m; i++)
      split (to + i * 64, load (x + i * ldx + c), load (x + i * ldx + c + SIDE));
  if (c < n_cols) {
    const Where first = first_lanes (n_cols - c), second = n_cols - c > SIDE ? first_lanes (n_cols - c - SIDE) : 0;

    for (size_t i = 0; i < m; i++)
      split (to + i * 64, load_some (x + i * ldx + c, first), load_some (x + i * ldx + c + SIDE, second));
  }
}

static void
split_panel (char *to, const float *x, size_t ldx, size_t m, size_t n_cols)
{
  const size_t tiles = up_to (n_cols, DEPTH) / DEPTH;

  for (size_t i = 0; i < m; i += SIDE)
    split_rows (to + i / SIDE * tiles * PARTS * TILE_BYTES, x + i * ldx, ldx, at_most (m - i, SIDE), n_cols);
}

/* ------------------------------------------------------------------ tiles */

/* Intel SDM vol. 1, 18.3: palette 1. Tiles 0..3 are y, 4..6 x, 7 (and 6) W. Those of the second 16 rows of x may have fewer. */
typedef struct {
  uint8_t palette, start_row, reserved[14];
  uint16_t bytes_per_row[16];
  uint8_t rows[16];
} TileConfig;

INLINE void
configure (const TileConfig *c)
{
  __asm__ volatile ("" : : "r"(c) : "memory"); /* GCC's tile configuration says that it reads the first 8 bytes only */
  _tile_loadconfig (c);
}

/* Two by two: rows 0..15 (first) and 16..31 (second) of x. */
static void
configure_square (size_t first, size_t second)
{
  TileConfig c = { .palette = 1 };

  for (unsigned i = 0; i < 8; i++) {
    c.bytes_per_row[i] = 64;
    c.rows[i] = i == 6 || i == 7 ? SIDE : (uint8_t) (i == 2 || i == 3 || i == 5 ? second : first);
  }
  configure (&c);
}

/* One by four */
static void
configure_strip (size_t rows)
{
  TileConfig c = { .palette = 1 };

  for (unsigned i = 0; i < 8; i++) {
    c.bytes_per_row[i] = 64;
    c.rows[i] = i == 7 ? SIDE : (uint8_t) rows;
  }
  configure (&c);
}

typedef struct {
  float *y;          /* its first row, first column */
  size_t ldy;        /* floats */
  const char *x;     /* split rows: [tiles][3] tiles */
  size_t next_x;     /* bytes from 16 rows of x to the next 16 */
  const char *w;     /* [tiles] tiles */
  size_t next_w;     /* bytes from 16 rows of W to the next 16 */
  size_t tiles;      /* of 32 columns */
  int begins;        /* y holds nothing yet */
} Product;

/* The CPU lets its 512-bit floating-point units sleep some 1500 cycles after their last use, tile instructions not counted, and the first
 * store of a tile then waits 1200 cycles for them (Sapphire Rapids, measured: a third of the time at 384 columns). One addition now and
 * then keeps them awake. */
enum { AWAKE_TILES = 4 };

INLINE void
stay_awake (void)
{
  __asm__ volatile ("vpxord %%zmm16, %%zmm16, %%zmm16\n\tvaddps %%zmm16, %%zmm16, %%zmm16" : : : "xmm16");
}

INLINE void
prefetch_tile (const char *p)
{
  for (unsigned line = 0; line < TILE_BYTES; line += 64)
    _mm_prefetch (p + line, _MM_HINT_T0);
}

INLINE void
load_y (const Product *p, float *third, float *fourth, size_t second)
{
  const size_t stride = p->ldy * sizeof (float);

  __asm__ volatile ("" : : : "memory"); /* GCC's tile loads do not say that they read memory: x and y must be there now */
  if (p->begins) {
    _tile_zero (0);
    _tile_zero (1);
    _tile_zero (2);
    _tile_zero (3);
  } else {
    _tile_loadd (0, p->y, stride);
    _tile_loadd (1, p->y + second, stride);
    _tile_loadd (2, third, stride);
    _tile_loadd (3, fourth, stride);
  }
}

INLINE void
store_y (const Product *p, float *third, float *fourth, size_t second)
{
  const size_t stride = p->ldy * sizeof (float);

  _tile_stored (0, p->y, stride);
  _tile_stored (1, p->y + second, stride);
  _tile_stored (2, third, stride);
  _tile_stored (3, fourth, stride);
}

/* 32 columns of 32 rows of x and 32 rows of W; far: they come from the second-level cache, so the next are asked for now */
INLINE void
step_square (const char *x, size_t next_x, const char *w, size_t next_w, int far)
{
  _tile_loadd (6, w, 64);
  _tile_loadd (7, w + next_w, 64);
  if (far) {
    prefetch_tile (w + 2 * TILE_BYTES);
    prefetch_tile (w + next_w + 2 * TILE_BYTES);
  }
#pragma GCC unroll 3
  for (unsigned part = 0; part < PARTS; part++, x += TILE_BYTES) {
    _tile_loadd (4, x, 64);
    _tile_dpbf16ps (0, 4, 6);
    _tile_dpbf16ps (1, 4, 7);
    if (far)
      prefetch_tile (x + PARTS * TILE_BYTES);
    _tile_loadd (5, x + next_x, 64);
    _tile_dpbf16ps (2, 5, 6);
    _tile_dpbf16ps (3, 5, 7);
    if (far)
      prefetch_tile (x + next_x + PARTS * TILE_BYTES);
  }
}

INLINE void
add_squares (const Product *p, int far)
{
  for (size_t t = 0; t < p->tiles;) {
    const size_t end = at_most (t + AWAKE_TILES, p->tiles);

    stay_awake ();
    for (; t < end; t++)
      step_square (p->x + t * PARTS * TILE_BYTES, p->next_x, p->w + t * TILE_BYTES, p->next_w, far);
  }
}

static void
multiply_square (const Product *p)
{
  float *lower = p->y + SIDE * p->ldy;

  load_y (p, lower, lower + SIDE, SIDE);
  if (p->tiles <= SHORT_TILES)
    add_squares (p, 0);
  else
    add_squares (p, 1);
  store_y (p, lower, lower + SIDE, SIDE);
}

#define MULTIPLY_COLUMN(n) \
  _tile_loadd (7, w + n * next_w, 64); \
  prefetch_tile (w + n * next_w + 2 * TILE_BYTES); \
  _tile_dpbf16ps (n, 4, 7); \
  _tile_dpbf16ps (n, 5, 7); \
  _tile_dpbf16ps (n, 6, 7)

/* 32 columns of 16 rows of x and 64 rows of W */
INLINE void
step_strip (const char *x, const char *w, size_t next_w)
{
  _tile_loadd (4, x, 64);
  _tile_loadd (5, x + TILE_BYTES, 64);
  _tile_loadd (6, x + 2 * TILE_BYTES, 64);
  MULTIPLY_COLUMN (0);
  MULTIPLY_COLUMN (1);
  MULTIPLY_COLUMN (2);
  MULTIPLY_COLUMN (3);
}

static void
multiply_strip (const Product *p)
{
  load_y (p, p->y + 2 * SIDE, p->y + 3 * SIDE, SIDE);
  for (size_t t = 0; t < p->tiles;) {
    const size_t end = at_most (t + AWAKE_TILES, p->tiles);

    stay_awake ();
    for (; t < end; t++)
      step_strip (p->x + t * PARTS * TILE_BYTES, p->w + t * TILE_BYTES, p->next_w);
  }
  store_y (p, p->y + 2 * SIDE, p->y + 3 * SIDE, SIDE);
}

/* The last rows of W do not fill the tiles: the products go by a place of their own. */
static void
multiply_some (void (*multiply) (const Product *), const Product *p, size_t rows, size_t n)
{
  float y[2 * SIDE * PADDED_ROWS];
  Product own = *p;

  own.y = y;
  own.ldy = PADDED_ROWS;
  if (!p->begins) {
    memset (y, 0, sizeof y);
    for (size_t r = 0; r < rows; r++)
      memcpy (y + r * PADDED_ROWS, p->y + r * p->ldy, n * sizeof (float));
  }
  multiply (&own);
  for (size_t r = 0; r < rows; r++)
    memcpy (p->y + r * p->ldy, y + r * PADDED_ROWS, n * sizeof (float));
}

/* ------------------------------------------------------------------ the loops */

/* rows row0 .. row1 of W against `rows` (at most 32) rows of split x; the tiles are configured for them */
static void
multiply_group (const Product *p, size_t rows, size_t row0, size_t row1)
{
  const size_t width = rows > SIDE ? 2 * SIDE : 4 * SIDE;
  void (*const multiply) (const Product *) = rows > SIDE ? multiply_square : multiply_strip;

  for (size_t r = row0; r < row1; r += width) {
    Product q = *p;

    q.y += r;
    q.w += r / SIDE * p->next_w;
    if (row1 - r >= width)
      multiply (&q);
    else
      multiply_some (multiply, &q, rows, row1 - r);
  }
}

/* as many rows of W as stay in the cache beside x, whole strips */
static size_t
group_rows (size_t tiles)
{
  const size_t n = GROUP_BYTES / (tiles * TILE_BYTES) * SIDE / PADDED_ROWS * PADDED_ROWS;

  return n > 0 ? n : PADDED_ROWS;
}

/* a panel of m rows of x, split, against rows row0 .. row1 of W: W in groups that stay in the cache */
static void
multiply_panel (const Product *p, size_t m, size_t row0, size_t row1)
{
  const size_t n_group = group_rows (p->tiles), n_whole = m / (2 * SIDE) * (2 * SIDE), rest = m - n_whole;

  for (size_t r = row0; r < row1; r += n_group) {
    const size_t end = at_most (r + n_group, row1);
    Product q = *p;

    if (n_whole > 0)
      configure_square (SIDE, SIDE);
    for (size_t i = 0; i < n_whole; i += 2 * SIDE, q.x += 2 * p->next_x, q.y += 2 * SIDE * p->ldy)
      multiply_group (&q, 2 * SIDE, r, end);
    if (rest > SIDE)
      configure_square (SIDE, rest - SIDE);
    else if (rest > 0)
      configure_strip (rest);
    if (rest > 0)
      multiply_group (&q, rest, r, end);
  }
}

void
KERNEL (matmul) (float *y, size_t ldy, const float *x, size_t ldx, size_t m, const void *packed, EvoWeightType type, size_t n_rows,
                 size_t n_cols, size_t row0, size_t row1, void *scratch)
{
  const size_t all_tiles = up_to (n_cols, DEPTH) / DEPTH;
  const int is_short = all_tiles <= SHORT_TILES && all_tiles * DEPTH * (row1 - row0) * sizeof (uint16_t) <= SMALL_W;
  const size_t panel_rows = is_short ? SHORT_ROWS : PANEL_ROWS;

  if (type != EVO_WEIGHT_BF16 || n_cols == 0) {
    evo_avx512_matmul (y, ldy, x, ldx, m, packed, type, n_rows, n_cols, row0, row1, scratch);
    return;
  }
  for (size_t i = 0; i < m; i += panel_rows)
    for (size_t t = 0; t < all_tiles; t += PANEL_TILES) {
      const size_t rows = at_most (m - i, panel_rows), tiles = at_most (all_tiles - t, PANEL_TILES);
      const Product p = { y + i * ldy, ldy, scratch, tiles * PARTS * TILE_BYTES, (const char *) packed + t * TILE_BYTES,
                          all_tiles * TILE_BYTES, tiles, t == 0 };

      split_panel (scratch, x + i * ldx + t * DEPTH, ldx, rows, at_most (n_cols - t * DEPTH, tiles * DEPTH));
      multiply_panel (&p, rows, row0, row1);
    }
  _tile_release ();
}

size_t
KERNEL (matmul_scratch) (size_t m, size_t n_cols)
{
  return up_to (at_most (m, PANEL_ROWS), SIDE) * up_to (at_most (n_cols, PANEL_TILES * DEPTH), DEPTH) * PARTS * sizeof (uint16_t);
}

void
evo_kernels_amx (EvoKernels *k)
{
  k->isa = "avx512+amx";
  k->packed_bytes = KERNEL (packed_bytes);
  k->pack = KERNEL (pack);
  k->matmul = KERNEL (matmul);
  k->matmul_scratch = KERNEL (matmul_scratch);
}
