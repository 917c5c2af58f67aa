/* SPDX-License-Identifier: Apache-2.0
 * divergence.c - the Kullback-Leibler divergence of two rows' softmaxes, in 16 lanes by index mod 16, so that every width of registers gives the
 * same bits: loops over lanes become registers where there are any.
 */
#include <math.h>

#include "core/kernels/ref/explog.h"
#include "core/kernels/slots.h"

enum { LANES = 16 };

static double
join (const double *lane)
{
  double sum = lane[0];

  for (unsigned l = 1; l < LANES; l++)
    sum += lane[l];
  return sum;
}

static float
largest_of (const float *x, size_t n)
{
  float lane[LANES], largest;
  size_t j = 0;

  for (unsigned l = 0; l < LANES; l++)
    lane[l] = x[0];
  for (; j + LANES <= n; j += LANES)
    for (unsigned l = 0; l < LANES; l++)
      lane[l] = x[j + l] > lane[l] ? x[j + l] : lane[l];
  for (; j < n; j++)
    lane[0] = x[j] > lane[0] ? x[j] : lane[0];
  largest = lane[0];
  for (unsigned l = 1; l < LANES; l++)
    largest = lane[l] > largest ? lane[l] : largest;
  return largest;
}

/* e [n] = exp (x - largest); returns their sum */
static double
exponentials (const float *x, size_t n, double *e)
{
  const double largest = largest_of (x, n);
  double lane[LANES] = { 0 };
  size_t j = 0;

  for (size_t i = 0; i < n; i++)
    e[i] = explog_exp (x[i] - largest);
  for (; j + LANES <= n; j += LANES)
    for (unsigned l = 0; l < LANES; l++)
      lane[l] += e[j + l];
  for (; j < n; j++)
    lane[j % LANES] += e[j];
  return join (lane);
}

/* s [n] = (p - q) / (p + q), where p and q become share e + floor; returns the largest |s| */
static double
contrasts (double *p, double *q, double *s, double share_p, double share_q, double floor, size_t n)
{
  double lane[LANES] = { 0 }, widest = 0;
  size_t j = 0;

  for (size_t i = 0; i < n; i++) {
    p[i] = p[i] * share_p + floor;
    q[i] = q[i] * share_q + floor;
    s[i] = (p[i] - q[i]) / (p[i] + q[i]);
  }
  for (; j + LANES <= n; j += LANES)
    for (unsigned l = 0; l < LANES; l++)
      lane[l] = fabs (s[j + l]) > lane[l] ? fabs (s[j + l]) : lane[l];
  for (; j < n; j++)
    lane[0] = fabs (s[j]) > lane[0] ? fabs (s[j]) : lane[0];
  for (unsigned l = 0; l < LANES; l++)
    widest = lane[l] > widest ? lane[l] : widest;
  return widest;
}

/* Where all shares are near one another's, as they are between fine-tunes, log (p / q) = 2 artanh ((p - q) / (p + q)) needs no exponents. */
double
KERNEL (divergence) (const float *a, const float *b, double floor, size_t n, double *work)
{
  double *p = work, *q = work + n, *s = work + 2 * n, lane[LANES] = { 0 }, share_p, share_q, sum;
  size_t j = 0;

  if (n == 0)
    return 0;
  share_p = 1 / exponentials (a, n, p);
  share_q = 1 / exponentials (b, n, q);
  if (contrasts (p, q, s, share_p, share_q, floor, n) <= EXPLOG_NEAR)
    for (size_t i = 0; i < n; i++)
      s[i] = p[i] * explog_ratio (s[i]);
  else
    for (size_t i = 0; i < n; i++)
      s[i] = p[i] * explog_log (p[i] / q[i]);
  for (; j + LANES <= n; j += LANES)
    for (unsigned l = 0; l < LANES; l++)
      lane[l] += s[j + l];
  for (; j < n; j++)
    lane[j % LANES] += s[j];
  sum = join (lane);
  return sum > 0 ? sum : 0;
}
