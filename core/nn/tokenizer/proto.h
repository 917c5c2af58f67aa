/* SPDX-License-Identifier: Apache-2.0
 * proto.h - reading protocol buffers, as much as a SentencePiece model needs (private to spm.c).
 */
#ifndef EVO_NN_TOKENIZER_PROTO_H
#define EVO_NN_TOKENIZER_PROTO_H

#include <glib.h>

typedef struct { const guint8 *p, *end, *start; } EvoProto; /* a message; start: of the file, for positions in messages */
typedef enum { EVO_PROTO_VARINT, EVO_PROTO_FIXED64, EVO_PROTO_BYTES, EVO_PROTO_FIXED32 = 5 } EvoProtoWire;
typedef struct {
  guint32 number;
  EvoProtoWire wire;
  guint64 value;           /* VARINT, FIXED32, FIXED64 */
  const guint8 *bytes;     /* BYTES */
  gsize n;
} EvoProtoField;

/* The next field: 1. 0: the message ends here. -1: it is broken; `why` says how (static). */
int evo_proto_next (EvoProto *m, EvoProtoField *f, const char **why);
EvoProto evo_proto_inside (const EvoProto *m, const EvoProtoField *f); /* a BYTES field as a message */
float evo_proto_float (const EvoProtoField *f);                        /* a FIXED32 field */

#endif
