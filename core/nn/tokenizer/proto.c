/* SPDX-License-Identifier: Apache-2.0
 * proto.c - protocol buffers: tags, varints, lengths, all within bounds.
 */
#include "core/nn/tokenizer/proto.h"

#include <string.h>

static gboolean
read_varint (EvoProto *m, guint64 *out)
{
  guint64 value = 0;

  for (guint shift = 0; shift < 64 && m->p < m->end; shift += 7) {
    guint8 byte = *m->p++;

    value |= (guint64) (byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      *out = value;
      return TRUE;
    }
  }
  return FALSE;
}

static gboolean
read_fixed (EvoProto *m, guint n, guint64 *out)
{
  guint64 value = 0;

  if ((gsize) (m->end - m->p) < n)
    return FALSE;
  for (guint i = 0; i < n; i++)
    value |= (guint64) *m->p++ << (8 * i);
  *out = value;
  return TRUE;
}

static gboolean
read_bytes (EvoProto *m, EvoProtoField *f)
{
  guint64 n;

  if (!read_varint (m, &n) || n > (guint64) (m->end - m->p))
    return FALSE;
  f->bytes = m->p;
  f->n = (gsize) n;
  m->p += n;
  return TRUE;
}

int
evo_proto_next (EvoProto *m, EvoProtoField *f, const char **why)
{
  guint64 tag;
  gboolean good;

  if (m->p == m->end)
    return 0;
  *why = "the data end inside a field";
  if (!read_varint (m, &tag))
    return -1;
  *f = (EvoProtoField){ .number = (guint32) (tag >> 3), .wire = (EvoProtoWire) (tag & 7) };
  if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) {
    *why = "a field has a number that is not allowed";
    return -1;
  }
  switch ((guint) f->wire) {
  case EVO_PROTO_VARINT:
    good = read_varint (m, &f->value);
    break;
  case EVO_PROTO_FIXED64:
    good = read_fixed (m, 8, &f->value);
    break;
  case EVO_PROTO_BYTES:
    good = read_bytes (m, f);
    break;
  case EVO_PROTO_FIXED32:
    good = read_fixed (m, 4, &f->value);
    break;
  default:
    *why = "a field has a type that does not exist";
    return -1;
  }
  return good ? 1 : -1;
}

EvoProto
evo_proto_inside (const EvoProto *m, const EvoProtoField *f)
{
  return (EvoProto){ f->bytes, f->bytes + f->n, m->start };
}

float
evo_proto_float (const EvoProtoField *f)
{
  guint32 bits = (guint32) f->value;
  float x;

  memcpy (&x, &bits, sizeof x);
  return x;
}
