/* SPDX-License-Identifier: Apache-2.0
 * made.h - files and folders that the store's tests make for themselves.
 */
#ifndef TESTS_STORE_MADE_H
#define TESTS_STORE_MADE_H

#include <ftw.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

/* A safetensors file's bytes: length, header, then n_data bytes 0, 1, 2 ... (owned). */
static inline GString *
made_bytes (const char *header, gsize n_data)
{
  guint64 length = GUINT64_TO_LE ((guint64) strlen (header));
  GString *bytes = g_string_new_len ((const char *) &length, sizeof length);

  g_string_append (bytes, header);
  for (gsize i = 0; i < n_data; i++)
    g_string_append_c (bytes, (char) i);
  return bytes;
}

static inline void
made_file (const char *folder, const char *name, const char *bytes, gssize n)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);

  g_assert_true (g_file_set_contents (path, bytes, n, NULL));
}

static inline void
made_tensors (const char *folder, const char *name, const char *header, gsize n_data)
{
  g_autoptr (GString) bytes = made_bytes (header, n_data);

  made_file (folder, name, bytes->str, (gssize) bytes->len);
}

static inline char *
made_folder (void)
{
  char *folder = g_dir_make_tmp ("evopipe-store-XXXXXX", NULL);

  g_assert_nonnull (folder);
  return folder;
}

static inline int
made_remove_one (const char *path, const struct stat *st, int kind, struct FTW *at)
{
  return remove (path);
}

static inline void
made_remove (const char *folder)
{
  g_assert_cmpint (nftw (folder, made_remove_one, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
}

/* Entries of a folder, hidden ones too. */
static inline guint
made_count (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  guint n = 0;

  g_assert_nonnull (dir);
  while (g_dir_read_name (dir) != NULL)
    n++;
  return n;
}

/* `text` with every @ replaced (owned). */
static inline char *
made_text (const char *text, const char *at)
{
  g_auto (GStrv) parts = g_strsplit (text, "@", -1);

  return g_strjoinv (at, parts);
}

#endif
