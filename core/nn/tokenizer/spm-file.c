/* SPDX-License-Identifier: Apache-2.0
 * spm-file.c - reading a SentencePiece .model: a ModelProto of sentencepiece_model.proto.
 */
#include "core/nn/tokenizer/spm.h"

#include <math.h>
#include <string.h>

#include "core/base/error.h"
#include "core/nn/small-file.h"
#include "core/nn/tokenizer/proto.h"
#include "core/nn/tokenizer/text.h"
#include "core/nn/tokenizer/vocab.h"

enum { MAX_BYTES = 1 << 26, MAX_PIECE = 256 };

void
evo_spm_file_free (EvoSpmFile *f)
{
  if (f == NULL)
    return;
  g_free (f->path);
  g_clear_pointer (&f->bytes, g_bytes_unref);
  g_array_unref (f->pieces);
  g_free (f->unknown_surface);
  g_free (f->bos);
  g_free (f->eos);
  g_free (f);
}

static gboolean
bad (const EvoSpmFile *f, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);

static gboolean
bad (const EvoSpmFile *f, GError **error, const char *format, ...)
{
  g_autofree char *what = NULL;
  va_list args;

  va_start (args, format);
  what = g_strdup_vprintf (format, args);
  va_end (args);
  return evo_set_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT, "%s: %s", f->path, what);
}

/* What a field of a message is read into; the wire type must be the expected one. */
typedef struct { guint32 number; EvoProtoWire wire; enum { TO_BOOL, TO_NUMBER, TO_TEXT, TO_BYTES } to; gpointer out, out_n; } Target;

static gboolean
store (EvoSpmFile *f, const Target *t, const EvoProtoField *field, const char *message, GError **error)
{
  if (t->wire != field->wire)
    return bad (f, error, "field %u of %s has the wrong type", field->number, message);
  if (t->to == TO_TEXT && (memchr (field->bytes, '\0', field->n) != NULL || !evo_utf8_is_valid ((const char *) field->bytes, field->n)))
    return bad (f, error, "field %u of %s is not a text in UTF-8", field->number, message);
  switch (t->to) {
  case TO_BOOL:
    *(gboolean *) t->out = field->value != 0;
    break;
  case TO_NUMBER:
    *(guint64 *) t->out = field->value;
    break;
  case TO_TEXT:
    g_free (*(char **) t->out);
    *(char **) t->out = g_strndup ((const char *) field->bytes, field->n);
    break;
  case TO_BYTES:
    *(const guint8 **) t->out = field->bytes;
    *(gsize *) t->out_n = field->n;
    break;
  }
  return TRUE;
}

static gboolean
read_message (EvoSpmFile *f, EvoProto m, const char *message, const Target *targets, guint n_targets, GError **error)
{
  EvoProtoField field;
  const char *why;
  int more;

  while ((more = evo_proto_next (&m, &field, &why)) > 0)
    for (guint i = 0; i < n_targets; i++)
      if (targets[i].number == field.number && !store (f, &targets[i], &field, message, error))
        return FALSE;
  return more == 0 || bad (f, error, "%s, at byte %" G_GSIZE_FORMAT ": %s", message, (gsize) (m.p - m.start), why);
}

static gboolean
read_trainer (EvoSpmFile *f, EvoProto m, GError **error)
{
  const Target targets[] = {
    { 3, EVO_PROTO_VARINT, TO_NUMBER, &f->model_type }, { 24, EVO_PROTO_VARINT, TO_BOOL, &f->as_suffix },
    { 35, EVO_PROTO_VARINT, TO_BOOL, &f->byte_fallback }, { 44, EVO_PROTO_BYTES, TO_TEXT, &f->unknown_surface },
    { 46, EVO_PROTO_BYTES, TO_TEXT, &f->bos }, { 47, EVO_PROTO_BYTES, TO_TEXT, &f->eos },
  };

  return read_message (f, m, "trainer_spec", targets, G_N_ELEMENTS (targets), error);
}

static gboolean
read_normalizer (EvoSpmFile *f, EvoProto m, GError **error)
{
  const Target targets[] = {
    { 2, EVO_PROTO_BYTES, TO_BYTES, &f->charsmap, &f->n_charsmap }, { 3, EVO_PROTO_VARINT, TO_BOOL, &f->dummy_prefix },
    { 4, EVO_PROTO_VARINT, TO_BOOL, &f->remove_extra }, { 5, EVO_PROTO_VARINT, TO_BOOL, &f->escape },
  };

  return read_message (f, m, "normalizer_spec", targets, G_N_ELEMENTS (targets), error);
}

/* The other direction's map: no published model has one. */
static gboolean
read_denormalizer (EvoSpmFile *f, EvoProto m, GError **error)
{
  const guint8 *map = NULL;
  gsize n = 0;
  const Target targets[] = { { 2, EVO_PROTO_BYTES, TO_BYTES, &map, &n } };

  if (!read_message (f, m, "denormalizer_spec", targets, G_N_ELEMENTS (targets), error))
    return FALSE;
  return n == 0 || bad (f, error, "denormalizer_spec: a character map for decoding is not supported");
}

static gboolean
read_piece (EvoSpmFile *f, EvoProto m, GError **error)
{
  EvoSpmPiece piece = { .text = "", .type = EVO_SPM_NORMAL };
  guint64 score = 0, type = EVO_SPM_NORMAL;
  const Target targets[] = {
    { 1, EVO_PROTO_BYTES, TO_BYTES, &piece.text, &piece.n }, { 2, EVO_PROTO_FIXED32, TO_NUMBER, &score },
    { 3, EVO_PROTO_VARINT, TO_NUMBER, &type },
  };
  g_autofree char *name = g_strdup_printf ("piece %u", f->pieces->len);
  gsize most;

  if (!read_message (f, m, name, targets, G_N_ELEMENTS (targets), error))
    return FALSE;
  if (type < EVO_SPM_NORMAL || type > EVO_SPM_BYTE)
    return bad (f, error, "%s: the type %" G_GUINT64_FORMAT " does not exist", name, type);
  if (piece.n == 0)
    return bad (f, error, "%s has no text", name);
  most = type == EVO_SPM_USER ? EVO_VOCAB_MAX_TEXT : MAX_PIECE;
  if (piece.n > most)
    return bad (f, error, "%s has %" G_GSIZE_FORMAT " bytes; up to %" G_GSIZE_FORMAT " are accepted", name, piece.n, most);
  if (!evo_utf8_is_valid (piece.text, piece.n))
    return bad (f, error, "%s is not UTF-8", name);
  piece.score = evo_proto_float (&(EvoProtoField){ .value = score });
  piece.type = (guint) type;
  if (!isfinite (piece.score))
    return bad (f, error, "%s: its score is not a number", name);
  if (f->pieces->len == EVO_VOCAB_MAX_ID)
    return bad (f, error, "more than %d pieces", EVO_VOCAB_MAX_ID);
  g_array_append_val (f->pieces, piece);
  return TRUE;
}

static gboolean
read_part (EvoSpmFile *f, const EvoProto *m, const EvoProtoField *field, GError **error)
{
  if (field->number < 1 || field->number > 5 || field->number == 4) /* 4: the trainer's test data */
    return TRUE;
  if (field->wire != EVO_PROTO_BYTES)
    return bad (f, error, "field %u of the model has the wrong type", field->number);
  switch (field->number) {
  case 1:
    return read_piece (f, evo_proto_inside (m, field), error);
  case 2:
    return read_trainer (f, evo_proto_inside (m, field), error);
  case 3:
    return read_normalizer (f, evo_proto_inside (m, field), error);
  default:
    return read_denormalizer (f, evo_proto_inside (m, field), error);
  }
}

static gboolean
read_model (EvoSpmFile *f, const guint8 *bytes, gsize n, GError **error)
{
  EvoProto m = { bytes, bytes + n, bytes };
  EvoProtoField field;
  const char *why;
  int more;

  while ((more = evo_proto_next (&m, &field, &why)) > 0)
    if (!read_part (f, &m, &field, error))
      return FALSE;
  if (more < 0)
    return bad (f, error, "not a SentencePiece model: at byte %" G_GSIZE_FORMAT ": %s", (gsize) (m.p - m.start), why);
  return f->pieces->len > 0 || bad (f, error, "the model has no pieces");
}

EvoSpmFile *
evo_spm_file_read (const char *path, GError **error)
{
  g_autoptr (EvoSpmFile) f = g_new0 (EvoSpmFile, 1);
  const guint8 *bytes;
  gsize n;

  f->path = g_strdup (path);
  f->pieces = g_array_new (FALSE, FALSE, sizeof (EvoSpmPiece));
  f->model_type = EVO_SPM_UNIGRAM;
  f->dummy_prefix = f->remove_extra = f->escape = TRUE;
  f->unknown_surface = g_strdup (" \xe2\x81\x87 "); /* U+2047 between blanks */
  f->bos = g_strdup ("<s>");
  f->eos = g_strdup ("</s>");
  f->bytes = evo_small_file_read (path, MAX_BYTES, error);
  if (f->bytes == NULL)
    return NULL;
  bytes = g_bytes_get_data (f->bytes, &n);
  return read_model (f, bytes, n, error) ? g_steal_pointer (&f) : NULL;
}
