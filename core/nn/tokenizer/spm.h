/* SPDX-License-Identifier: Apache-2.0
 * spm.h - what a SentencePiece .model says (private to tokenizer-spm*.c).
 */
#ifndef EVO_NN_TOKENIZER_SPM_H
#define EVO_NN_TOKENIZER_SPM_H

#include <glib.h>

/* sentencepiece_model.proto */
enum { EVO_SPM_NORMAL = 1, EVO_SPM_UNKNOWN, EVO_SPM_CONTROL, EVO_SPM_USER, EVO_SPM_UNUSED, EVO_SPM_BYTE };
enum { EVO_SPM_UNIGRAM = 1, EVO_SPM_BPE, EVO_SPM_WORD, EVO_SPM_CHAR };

typedef struct { const char *text; gsize n; float score; guint type; } EvoSpmPiece; /* text: of the file's bytes */
typedef struct {
  char *path;
  GBytes *bytes;
  GArray *pieces;                   /* EvoSpmPiece */
  guint64 model_type;
  gboolean byte_fallback, as_suffix, dummy_prefix, remove_extra, escape;
  char *unknown_surface, *bos, *eos;
  const guint8 *charsmap;           /* of the file's bytes */
  gsize n_charsmap;
} EvoSpmFile;

EvoSpmFile *evo_spm_file_read (const char *path, GError **error);
void evo_spm_file_free (EvoSpmFile *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EvoSpmFile, evo_spm_file_free)

#endif
