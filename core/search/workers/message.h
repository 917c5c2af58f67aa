/* SPDX-License-Identifier: Apache-2.0
 * message.h - what coordinator and workers say to each other: length-prefixed records over a file descriptor.
 *
 * What carries the messages is this file and message.c alone (a socket pair today). Numbers are little endian; a record is built with the
 * put functions and read back with the get functions in the same order.
 */
#ifndef EVO_SEARCH_MESSAGE_H
#define EVO_SEARCH_MESSAGE_H

#include <glib.h>

typedef struct { GByteArray *bytes; gsize at; gboolean broken; } EvoMessage;

void evo_message_init (EvoMessage *m);
void evo_message_clear (EvoMessage *m);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (EvoMessage, evo_message_clear)
void evo_message_put_int (EvoMessage *m, gint64 x);
void evo_message_put_text (EvoMessage *m, const char *text);                 /* NULL is kept */
void evo_message_put_doubles (EvoMessage *m, const double *x, gsize n);
void evo_message_put_ints (EvoMessage *m, const gint64 *x, gsize n);         /* x NULL: kept as NULL */
/* A message that ends too early sets `broken` and gives zeros from there on. */
gint64 evo_message_get_int (EvoMessage *m);
char *evo_message_get_text (EvoMessage *m);                                  /* owned */
double *evo_message_get_doubles (EvoMessage *m, gsize *n);                   /* owned */
gint64 *evo_message_get_ints (EvoMessage *m, gsize *n);                      /* owned, NULL where NULL was put */
gboolean evo_message_send (int fd, const EvoMessage *m);                     /* FALSE: the other side is gone */
/* 1: a whole message, 0: the other side closed, -1: broken. Waits. */
int evo_message_receive (int fd, EvoMessage *m);

#endif
