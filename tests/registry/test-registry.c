/* SPDX-License-Identifier: Apache-2.0
 * test-registry.c - broken plugins and what is said about each; scanning, looking up, data files.
 *
 * The plugins are made from plugin.c, one mistake each; broken files are made here from a good one's bytes.
 */
#include <elf.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/registry/registry.h"

enum { OPEN = EVO_REGISTRY_ERROR_OPEN, NOT = EVO_REGISTRY_ERROR_NOT_A_PLUGIN, ABI = EVO_REGISTRY_ERROR_ABI,
       DECLARATION = EVO_REGISTRY_ERROR_DECLARATION };

static char *folder; /* of our own, empty at the start of every test */

static char *
module (const char *name)
{
  g_autofree char *file = g_strconcat (name, ".so", NULL);

  return g_build_filename (g_getenv ("EVO_BUILD"), "tests", "registry", file, NULL);
}

static void
remove_all (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *child = g_build_filename (path, name, NULL);

    if (g_file_test (child, G_FILE_TEST_IS_DIR) && !g_file_test (child, G_FILE_TEST_IS_SYMLINK))
      remove_all (child);
    g_remove (child);
  }
}

static char *
in_folder (const char *name)
{
  char *path = g_build_filename (folder, name, NULL);
  g_autofree char *parent = g_path_get_dirname (path);

  g_mkdir_with_parents (parent, 0755);
  return path;
}

static void
write_file (const char *name, gconstpointer bytes, gsize n)
{
  g_autofree char *path = in_folder (name);
  gboolean good = g_file_set_contents (path, bytes, (gssize) n, NULL);

  g_assert_true (good);
}

static void
copy_module (const char *from, const char *name)
{
  g_autofree char *path = module (from), *bytes = NULL;
  gsize n;

  g_assert_true (g_file_get_contents (path, &bytes, &n, NULL));
  write_file (name, bytes, n);
}

static EvoRegistry *
new_empty (void)
{
  remove_all (folder);
  g_setenv ("EVOPIPE_PLUGIN_PATH", folder, TRUE);
  return evo_registry_new ();
}

/* ------------------------------------------------------------------ one mistake each */

static const struct { const char *name; gint code; const char *message; } mistakes[] = {
  { "no-symbol", NOT, "no-symbol.so: exports no symbol evo_plugin; declare one with EVO_MERGE_PLUGIN (...) or its like" },
  { "unresolved", OPEN, "unresolved.so: cannot be loaded: undefined symbol: nowhere" },
  { "magic", NOT, "magic.so: its evo_plugin begins with 0x504f5646, a plugin's with 0x504f5645" },
  { "newer", ABI, "newer.so: built for ABI 1.1, this is 1.0" },
  { "other-major", ABI, "other-major.so: built for ABI 2.0, this is 1.0" },
  { "short-param", ABI, "short-param.so: built with parameters of 80 bytes; ABI 1.0 has 88 ... 88" },
  { "long-param", ABI, "long-param.so: built with parameters of 96 bytes; ABI 1.0 has 88 ... 88" },
  { "kind", DECLARATION, "kind.so: is of kind 9; kinds are 1 (merge) ... 4 (evaluator)" },
  { "no-ops", DECLARATION, "no-ops.so: declares 0 operators; a file has 1 ... 64" },
  { "many-ops", DECLARATION, "many-ops.so: declares 65 operators; a file has 1 ... 64" },
  { "wild-ops", DECLARATION, "wild-ops.so: its list of operators lies outside the file" },
  { "wild-op", DECLARATION, "wild-op.so: operator 1 lies outside the file" },
  { "twice", EVO_REGISTRY_ERROR_DUPLICATE, "twice.so: declares merge.twice twice" },
  { "small-op", DECLARATION, "small-op.so: operator 0: its table has 64 bytes; a merge operator's has 224 ... 224" },
  { "large-op", DECLARATION, "large-op.so: operator 0: its table has 4096 bytes; a merge operator's has 224 ... 224" },
  { "no-name", DECLARATION, "no-name.so: operator 0 has no name, or one of more than 64 letters" },
  { "wild-name", DECLARATION, "wild-name.so: operator 0 has no name, or one of more than 64 letters" },
  { "upper-name", DECLARATION, "upper-name.so: operator 0 is called \"Good\"; a name is lower-case letters, digits and single hyphens" },
  { "double-hyphen", DECLARATION, "double-hyphen.so: operator 0 is called \"go--od\"; a name is lower-case letters, digits and single hyphens" },
  { "no-summary", DECLARATION, "no-summary.so: good: has no summary; it is one sentence, on one line" },
  { "two-lines", DECLARATION, "two-lines.so: good: has no summary; it is one sentence, on one line" },
  { "huge-params", DECLARATION, "huge-params.so: good: its parameters take 1048576 bytes, at most 65536 are allowed" },
  { "wild-params", DECLARATION, "wild-params.so: good: its parameter table lies outside the file; does it end with EVO_PARAMS_END?" },
  { "twice-param", DECLARATION, "twice-param.so: good: parameter strength: it is declared twice" },
  { "far-default", DECLARATION, "far-default.so: good: parameter strength: its default 7 is outside its limits (0 ... 1)" },
  { "outside-param", DECLARATION, "outside-param.so: good: parameter strength: its member (8 bytes at 4096) ends outside its struct of 16 bytes" },
  { "wild-doc", DECLARATION, "wild-doc.so: good: strength: its sentence lies outside the file or is too long" },
  { "reserved", DECLARATION, "reserved.so: good: parameter seed: this name is the pipeline's own; choose another" },
  { "reserved-in", DECLARATION, "reserved-in.so: good: parameter seed: this name is the pipeline's own; choose another" },
  { "host-key", DECLARATION, "host-key.so: good: parameter sample: this name is the pipeline's own; choose another" },
  { "both", DECLARATION, "both.so: good: parameter strength: is declared for the node and for its inputs; choose one" },
  { "tensors", DECLARATION, "tensors.so: good: 2 parameters are files of tensors; an input has one at most" },
  { "aux-shape", DECLARATION, "aux-shape.so: good: has aux_shape but no parameter that is a file of tensors" },
  { "aux-access", DECLARATION, "aux-access.so: good: has aux_shape but its access is not 2 (tensor)" },
  { "node-tensors", DECLARATION, "node-tensors.so: good: parameter one: only a merge's inputs have files of tensors" },
  { "no-merge", DECLARATION, "no-merge.so: good: has no merge function" },
  { "lora-inputs", DECLARATION, "lora-inputs.so: good: an adapter needs a base, and takes no inputs" },
  { "lora-params", DECLARATION, "lora-params.so: good: an adapter needs the parameters path, a file, and scale, a number" },
  { "no-inputs", DECLARATION, "no-inputs.so: good: min_inputs is 0; a merge has one input at least" },
  { "inputs", DECLARATION, "inputs.so: good: takes 3 inputs at least and 2 at most" },
  { "access", DECLARATION, "access.so: good: access is 3; it is 0 (element) ... 2 (tensor)" },
  { "scope", DECLARATION, "scope.so: good: scope is 4; it is 0 (tensor) ... 3 (model)" },
  { "flags", DECLARATION, "flags.so: good: unknown flags 0x80" },
  { "many-passes", DECLARATION, "many-passes.so: good: 17 passes; at most 16 are allowed" },
  { "no-measure", DECLARATION, "no-measure.so: good: has passes but no measure" },
  { "no-passes", DECLARATION, "no-passes.so: good: has measure but n_passes is 0" },
  { "sums", DECLARATION, "sums.so: good: has n_sums but no measure" },
  { "coef", DECLARATION, "coef.so: good: has n_coef but no solve" },
  { "pick", DECLARATION, "pick.so: good: has pick and measure; what is measured is all inputs" },
  { "no-rank", DECLARATION, "no-rank.so: good: has keys but no rank" },
  { "no-cuts", DECLARATION, "no-cuts.so: good: has keys but no cuts" },
  { "no-keys", DECLARATION, "no-keys.so: good: has cuts but no keys" },
  { "half-pool", DECLARATION, "half-pool.so: good: n_values, values, pool and n_figures belong together" },
  { "no-figures", DECLARATION, "no-figures.so: good: n_values, values, pool and n_figures belong together" },
  { "lone-figures", DECLARATION, "lone-figures.so: good: n_values, values, pool and n_figures belong together" },
  { "many-figures", DECLARATION, "many-figures.so: good: 65 figures; at most 64 are allowed" },
  { "pool-measure", DECLARATION, "pool-measure.so: good: has pool but no measure" },
  { "pool-solve", DECLARATION, "pool-solve.so: good: has pool but no solve" },
  { "pool-keys", DECLARATION, "pool-keys.so: good: has pool and keys; one of them may look at a model" },
  { "host", DECLARATION, "host.so: good: host is 3; this program knows 0 ... 2" },
  { "many-cuts", DECLARATION, "many-cuts.so: good: 65 cuts per input and 0 fixed; at most 64 of each are allowed" },
  { "formula", DECLARATION, "formula.so: good: its formula is no line of text; it is one, in UTF-8, or NULL" },
  { "wild-source", DECLARATION, "wild-source.so: good: its source is no line of text; it is one, in UTF-8, or NULL" },
  { "no-claim", DECLARATION, "no-claim.so: good: has no claim function" },
  { "wild-files", DECLARATION, "wild-files.so: good: the list of names of copied_files lies outside the file" },
  { "no-tell", DECLARATION, "no-tell.so: good: has no tell function" },
  { "no-objective", DECLARATION, "no-objective.so: good: max_objectives is 0; it takes one at least" },
  { "optimizer-flags", DECLARATION, "optimizer-flags.so: good: unknown flags 0x1" },
  { "no-judge", DECLARATION, "no-judge.so: good: has no judge function" },
  { "many-values", DECLARATION, "many-values.so: good: 65 values an item; at most 64 are allowed" },
  { "binary-values", DECLARATION, "binary-values.so: good: is BINARY but has 2 values an item" },
  { "evaluator-flags", DECLARATION, "evaluator-flags.so: good: unknown flags 0x8" },
  { "cost-values", DECLARATION, "cost-values.so: good: is COST with 3 values; a model's figures are 4, and reduce makes a score of them" },
  { "half-extra", DECLARATION, "half-extra.so: good: extra_names and reduce_extra belong together" },
  { "many-extra", DECLARATION, "many-extra.so: good: 9 extra_names; at most 8 are allowed" },
};

static void
test_mistakes (void)
{
  g_autoptr (EvoRegistry) r = new_empty ();
  guint n = evo_registry_get_n (r);

  for (guint i = 0; i < G_N_ELEMENTS (mistakes); i++) {
    g_autofree char *path = module (mistakes[i].name);
    g_autoptr (GError) error = NULL;

    g_assert_false (evo_registry_load (r, path, &error));
    g_assert_cmpstr (error->message, ==, mistakes[i].message);
    g_assert_error (error, EVO_REGISTRY_ERROR, mistakes[i].code);
    g_assert_cmpint (evo_error_exit_code (error), ==, 3);
  }
  g_assert_cmpuint (evo_registry_get_n (r), ==, n);
}

static void
test_good (void)
{
  static const char *const names[] = { "good", "good-model", "good-optimizer", "good-evaluator", "passes" };
  static const char *const found[] = { "merge.good", "model.good", "optimizer.good", "evaluator.good", "merge.passes" };
  g_autoptr (EvoRegistry) r = new_empty ();

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = module (names[i]);
    g_autoptr (GError) error = NULL;
    const EvoRegistered *e;

    g_assert_true (evo_registry_load (r, path, &error));
    g_assert_no_error (error);
    g_assert_true (evo_registry_load (r, path, &error)); /* once more is no mistake */
    e = evo_registry_find (r, found[i], &error);
    g_assert_no_error (error);
    g_assert_cmpstr (e->name, ==, found[i]);
    g_assert_cmpstr (e->file, ==, path);
    g_assert_cmpstr (e->op->params[1].names[1], ==, "that");
  }
  for (guint i = 1; i < evo_registry_get_n (r); i++)
    g_assert_cmpstr (evo_registry_get (r, i - 1)->name, <, evo_registry_get (r, i)->name);
  g_assert_cmpstr (evo_registry_kind_name (EVO_KIND_OPTIMIZER), ==, "optimizer");
}

/* ------------------------------------------------------------------ broken files */

typedef struct { guint64 at; gsize size; guint64 value; const char *message; } Patch;

#define HEADER(member, v, text) { offsetof (Elf64_Ehdr, member), sizeof ((Elf64_Ehdr *) 0)->member, v, text }

static const Patch headers[] = {
  { 0, 1, 'M', "x.so: is no ELF file; a plugin is a shared object (cc -shared -fPIC)" },
  { EI_CLASS, 1, ELFCLASS32, "x.so: is a 32-bit object, this program is 64-bit" },
  { EI_CLASS, 1, 7, "x.so: is a strange object, this program is 64-bit" },
  { EI_DATA, 1, ELFDATA2MSB, "x.so: is big-endian, this machine is little-endian" },
  { EI_VERSION, 1, 9, "x.so: is of ELF version 9, not 1" },
  HEADER (e_type, ET_REL, "x.so: is an object file (link it with -shared), not a shared object"),
  HEADER (e_type, ET_EXEC, "x.so: is a program, not a shared object"),
  HEADER (e_type, ET_CORE, "x.so: is a core dump, not a shared object"),
  HEADER (e_type, 99, "x.so: is of an unknown type, not a shared object"),
  HEADER (e_phnum, 0, "x.so: has 0 program headers; a shared object has 1 ... 64"),
  HEADER (e_phnum, 65535, "x.so: has 65535 program headers; a shared object has 1 ... 64"),
  HEADER (e_phentsize, 32, "x.so: has program headers of 32 bytes, not 56"),
  HEADER (e_phoff, G_MAXUINT64 - 8, NULL),
  HEADER (e_phoff, 68, "x.so: has misaligned program headers"),
  HEADER (e_shoff, 1 << 30, NULL),
};

static char *good_bytes;
static gsize n_good;

static char *
refusal (gconstpointer bytes, gsize n)
{
  g_autoptr (EvoRegistry) r = new_empty ();
  g_autofree char *path = in_folder ("x.so");
  g_autoptr (GError) error = NULL;

  write_file ("x.so", bytes, n);
  g_assert_false (evo_registry_load (r, path, &error));
  g_assert_cmpint (evo_error_exit_code (error), ==, 3);
  return g_strdup (error->message);
}

static char *
patched (guint64 at, guint64 value, gsize size)
{
  g_autofree char *bytes = g_memdup2 (good_bytes, n_good);

  g_assert_cmpuint (at + size, <=, n_good);
  memcpy (bytes + at, &value, size); /* little endian, as the file */
  return refusal (bytes, n_good);
}

static void
test_headers (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (headers); i++) {
    const Patch *p = &headers[i];
    g_autofree char *message = patched (p->at, p->value, p->size);

    if (p->message != NULL)
      g_assert_cmpstr (message, ==, p->message);
    else
      g_assert_true (g_str_has_prefix (message, "x.so: truncated: its ") && strstr (message, "headers lie beyond the end of the file (") != NULL);
  }
}

static guint64
program_header (guint32 type, guint64 member)
{
  const Elf64_Ehdr *h = (const Elf64_Ehdr *) good_bytes;

  for (guint i = 0; i < h->e_phnum; i++) {
    guint64 at = h->e_phoff + i * sizeof (Elf64_Phdr);

    if (((const Elf64_Phdr *) (good_bytes + at))->p_type == type)
      return at + member;
  }
  g_assert_not_reached ();
}

static guint64
dynamic_entry (gint64 tag)
{
  const Elf64_Phdr *p = (const Elf64_Phdr *) (good_bytes + program_header (PT_DYNAMIC, 0));

  for (guint64 at = p->p_offset;; at += sizeof (Elf64_Dyn))
    if (((const Elf64_Dyn *) (good_bytes + at))->d_tag == tag)
      return at + offsetof (Elf64_Dyn, d_un);
}

static void
expect_patched (guint64 at, guint64 value, const char *wanted)
{
  g_autofree char *message = patched (at, value, 8);

  g_assert_cmpstr (message, ==, wanted);
}

static void
test_program_headers (void)
{
  guint64 load = program_header (PT_LOAD, 0), relro = program_header (PT_GNU_RELRO, 0), dynamic = program_header (PT_DYNAMIC, 0);
  g_autofree char *truncated = patched (load + offsetof (Elf64_Phdr, p_filesz), 1 << 30, 8), *no_dynamic = patched (dynamic, 0, 4);

  g_assert_true (g_str_has_prefix (truncated, "x.so: truncated: a program header asks for bytes up to 1073741824, the file has "));
  g_assert_cmpstr (no_dynamic, ==, "x.so: has no dynamic section; link it with -shared");
  expect_patched (load + offsetof (Elf64_Phdr, p_memsz), 1, "x.so: has a segment with more bytes in the file than in memory");
  expect_patched (load + offsetof (Elf64_Phdr, p_memsz), G_MAXUINT64, "x.so: has a segment at an impossible address");
  expect_patched (load + offsetof (Elf64_Phdr, p_memsz), 1 << 30, "x.so: has segments that overlap or are out of order");
  expect_patched (load + offsetof (Elf64_Phdr, p_vaddr), 24, "x.so: has a misaligned segment");
  expect_patched (load + offsetof (Elf64_Phdr, p_align), 16, "x.so: has a segment that is not aligned to pages");
  expect_patched (relro + offsetof (Elf64_Phdr, p_vaddr), 1 << 29, "x.so: has a program header of type 0x6474e552 outside its segments");
}

static void
test_dynamic (void)
{
  expect_patched (dynamic_entry (DT_STRTAB), 1 << 29, "x.so: its string table would lie where the file has nothing");
  expect_patched (dynamic_entry (DT_STRSZ), 1 << 29, "x.so: its string table would lie where the file has nothing");
  expect_patched (dynamic_entry (DT_SYMTAB), G_MAXUINT64, "x.so: its symbol table would lie where the file has nothing");
  expect_patched (dynamic_entry (DT_GNU_HASH), 1 << 29, "x.so: its symbol hash would lie where the file has nothing");
  expect_patched (dynamic_entry (DT_RELASZ), 1 << 29, "x.so: its relocations would lie where the file has nothing");
  expect_patched (dynamic_entry (DT_SYMENT), 16, "x.so: has symbols of 16 bytes, not 24");
  expect_patched (dynamic_entry (DT_RELAENT), 16, "x.so: has relocations of 16 bytes, not 24");
  expect_patched (dynamic_entry (DT_NEEDED), 1 << 20, "x.so: names a library beyond its string table");
  expect_patched (dynamic_entry (DT_PLTREL), DT_REL, "x.so: has relocations of another type than this machine's");
  expect_patched (dynamic_entry (DT_RELACOUNT), 1 << 20, "x.so: counts more relocations than it has");
  expect_patched (dynamic_entry (DT_GNU_HASH), *(const guint64 *) (good_bytes + dynamic_entry (DT_SYMTAB)), "x.so: has a broken symbol hash");
  expect_patched (dynamic_entry (DT_GNU_HASH) - 8, 0x60000000, "x.so: has no dynamic symbols");
}

/* Cut anywhere, a plugin is refused; uncut it is not. */
static void
test_truncated (void)
{
  g_autofree char *empty = refusal ("", 0), *text = refusal ("not a plugin\n", 13), *short_header = refusal (good_bytes, 40);

  g_assert_cmpstr (empty, ==, "x.so: 0 bytes are no shared object");
  g_assert_cmpstr (text, ==, "x.so: is no ELF file; a plugin is a shared object (cc -shared -fPIC)");
  g_assert_cmpstr (short_header, ==, "x.so: truncated: 40 bytes, an ELF header alone has 64");
  for (gsize n = 64; n < n_good; n += n < 1024 ? 16 : 211) {
    g_autofree char *message = refusal (good_bytes, n);

    g_assert_true (g_str_has_prefix (message, "x.so: truncated: "));
  }
  g_autofree char *last = refusal (good_bytes, n_good - 1);
  g_assert_true (g_str_has_prefix (last, "x.so: truncated: its section headers lie beyond the end of the file ("));
}

static void
test_no_file (void)
{
  g_autoptr (EvoRegistry) r = new_empty ();
  g_autofree char *missing = in_folder ("missing.so"), *directory = in_folder ("directory.so"), *pipe = in_folder ("pipe.so");
  g_autoptr (GError) a = NULL, b = NULL, c = NULL;

  g_mkdir (directory, 0755);
  g_assert_cmpint (mkfifo (pipe, 0644), ==, 0);
  g_assert_false (evo_registry_load (r, missing, &a));
  g_assert_cmpstr (a->message, ==, "missing.so: cannot be opened: No such file or directory");
  g_assert_false (evo_registry_load (r, directory, &b));
  g_assert_cmpstr (b->message, ==, "directory.so: is no regular file");
  g_assert_false (evo_registry_load (r, pipe, &c));
  g_assert_cmpstr (c->message, ==, "pipe.so: is no regular file");
}

/* ------------------------------------------------------------------ scanning and looking up */

static void
expect_error (const EvoRegistry *r, const char *name, GQuark domain, gint code, int exit_code, const char *start)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (evo_registry_find (r, name, &error));
  g_assert_true (g_str_has_prefix (error->message, start));
  g_assert_error (error, domain, code);
  g_assert_cmpint (evo_error_exit_code (error), ==, exit_code);
}

static void
test_scan (void)
{
  g_autofree char *path = NULL, *first = g_build_filename (folder, "one", NULL), *good = g_build_filename (folder, "one", "merge", "good.so", NULL);
  g_autofree char *link = g_build_filename (folder, "two", "again.so", NULL), *twin = g_build_filename (folder, "two", "good.so", NULL);
  g_autofree char *duplicate = NULL, *no_folder = NULL;
  const char *const *broken;

  remove_all (folder);
  copy_module ("good", "one/merge/good.so");
  copy_module ("newer", "one/merge/tie_break.so");
  copy_module ("newer", "one/optimizer/best.so");
  write_file ("one/notes.txt", "no plugin", 9);
  write_file ("one/.hidden.so", "no plugin", 9);
  copy_module ("passes", "one/merge/deeper/passes.so"); /* one folder too deep */
  copy_module ("good", "two/good.so");
  g_assert_cmpint (symlink (good, link), ==, 0); /* the same file under another name is no second plugin */
  path = g_strdup_printf ("%s::%s/two:%s/one:%s/three", first, folder, folder, folder);
  g_setenv ("EVOPIPE_PLUGIN_PATH", path, TRUE);
  g_autoptr (EvoRegistry) r = evo_registry_new ();

  const EvoRegistered *e = evo_registry_find (r, "merge.good", NULL);
  g_assert_cmpstr (e->file, ==, good);
  duplicate = g_strdup_printf ("good.so: merge.good is already there, from %s; %s is not used", good, twin);
  no_folder = g_strdup_printf ("%s/three: no folder of plugins: ", folder);
  broken = evo_registry_get_broken (r);
  g_assert_cmpuint (g_strv_length ((char **) broken), ==, 4);
  g_assert_cmpstr (broken[0], ==, "tie_break.so: built for ABI 1.1, this is 1.0");
  g_assert_cmpstr (broken[1], ==, "best.so: built for ABI 1.1, this is 1.0");
  g_assert_cmpstr (broken[2], ==, duplicate);
  g_assert_true (g_str_has_prefix (broken[3], no_folder));

  expect_error (r, "merge.tie-break", EVO_REGISTRY_ERROR, ABI, 3, "tie_break.so: built for ABI 1.1, this is 1.0");
  expect_error (r, "optimizer.best", EVO_REGISTRY_ERROR, ABI, 3, "best.so: built for ABI 1.1, this is 1.0");
  expect_error (r, "merge.best", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, 2, "there is no plugin \"merge.best\"");
  expect_error (r, "merge.passes", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, 2, "there is no plugin \"merge.passes\"");
}

static void
test_unknown (void)
{
  g_autoptr (EvoRegistry) r = new_empty ();
  g_autofree char *merge = module ("good"), *model = module ("good-model"), *passes = module ("passes");
  g_autoptr (GError) error = NULL;

  g_assert_true (evo_registry_load (r, merge, &error) && evo_registry_load (r, model, &error) && evo_registry_load (r, passes, &error));
  expect_error (r, "merge.gud", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, 2,
                "there is no plugin \"merge.gud\"; did you mean \"merge.good\"? there are: merge.");
  expect_error (r, "merge.pases", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, 2,
                "there is no plugin \"merge.pases\"; did you mean \"merge.passes\"? there are: ");
  expect_error (r, "passes", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, 2,
                "there is no plugin \"passes\"; did you mean \"merge.passes\"? a plugin is KIND.NAME, of kind merge, model, optimizer or evaluator");
  expect_error (r, "evaluator.passes", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, 2,
                "there is no plugin \"evaluator.passes\"; did you mean \"merge.passes\"? there ");
  expect_error (r, "merge.something-quite-different", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, 2,
                "there is no plugin \"merge.something-quite-different\"; there are: merge.");
  expect_error (r, "\n", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, 2, "there is no plugin \"\\n\"; a plugin is KIND.NAME, ");
  expect_error (r, "", EVO_GRAPH_ERROR, EVO_GRAPH_ERROR_UNKNOWN, 2, "there is no plugin \"\"; a plugin is KIND.NAME, ");
}

static void
test_digest (void)
{
  g_autoptr (EvoRegistry) r = new_empty ();
  g_autofree char *path = module ("good"), *bytes = NULL, *want = NULL, *got = NULL;
  gsize n;

  g_assert_true (evo_registry_load (r, path, NULL) && g_file_get_contents (path, &bytes, &n, NULL));
  want = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) bytes, n);
  got = evo_registry_digest (evo_registry_find (r, "merge.good", NULL));
  g_assert_cmpstr (got, ==, want);
}

/* ------------------------------------------------------------------ data files */

static void
test_data_file (void)
{
  g_autofree char *told = g_strdup (g_getenv ("EVOPIPE_DATA")), *message = NULL;
  g_autofree char *source = g_build_filename (g_getenv ("EVO_SOURCE"), "core/abi/evopipe.h", NULL), *found = NULL, *built = NULL;
  g_autoptr (GError) error = NULL;

  remove_all (folder);
  write_file ("core/abi/evopipe.h", "x", 1);
  g_setenv ("EVOPIPE_DATA", folder, TRUE);
  found = evo_data_file ("core/abi/evopipe.h", &error);
  g_assert_true (g_str_has_prefix (found, folder));
  g_assert_null (evo_data_file ("models/none", &error)); /* what is told is not guessed around */
  message = g_strdup_printf ("models/none: not found in %s; EVOPIPE_DATA can name another folder", folder);
  g_assert_cmpstr (error->message, ==, message);
  g_assert_error (error, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING);
  g_unsetenv ("EVOPIPE_DATA");
  built = evo_data_file ("core/abi/evopipe.h", NULL); /* this test lies in a build tree */
  g_assert_cmpstr (built, ==, source);
  if (told != NULL)
    g_setenv ("EVOPIPE_DATA", told, TRUE);
}

int
main (int argc, char **argv)
{
  g_autofree char *path = module ("good");
  int rc;

  g_test_init (&argc, &argv, NULL);
  folder = g_dir_make_tmp ("evo-registry-XXXXXX", NULL);
  g_assert_true (g_file_get_contents (path, &good_bytes, &n_good, NULL));
  g_test_add_func ("/registry/good", test_good);
  g_test_add_func ("/registry/mistakes", test_mistakes);
  g_test_add_func ("/registry/headers", test_headers);
  g_test_add_func ("/registry/program-headers", test_program_headers);
  g_test_add_func ("/registry/dynamic", test_dynamic);
  g_test_add_func ("/registry/truncated", test_truncated);
  g_test_add_func ("/registry/no-file", test_no_file);
  g_test_add_func ("/registry/scan", test_scan);
  g_test_add_func ("/registry/unknown", test_unknown);
  g_test_add_func ("/registry/digest", test_digest);
  g_test_add_func ("/registry/data-file", test_data_file);
  rc = g_test_run ();
  remove_all (folder);
  g_rmdir (folder);
  g_free (folder);
  g_free (good_bytes);
  return rc;
}
