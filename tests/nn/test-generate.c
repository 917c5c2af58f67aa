/* SPDX-License-Identifier: Apache-2.0
 * test-generate.c - generation and scoring against the reference implementation's token lists and sums; the same bits however requests are
 * batched; ends.
 */
#include <string.h>

#include "core/base/error.h"
#include "tests/nn/fixture.h"

static const char *const models[] = { "llama", "llama-b", "llama-tied", "mistral" };

typedef struct { Fixture f; EvoJsonDoc *doc; const EvoJson *json; } Golden;

static void
golden_open (Golden *g, const char *model, const EvoKernels *k, EvoPool *pool)
{
  g_autofree char *name = g_strdup_printf ("tests/data/llm/%s", model), *path = fixture_path (name);
  g_autofree char *json = g_build_filename (path, "expected.json", NULL);
  g_autoptr (GError) error = NULL;

  fixture_open (&g->f, name, "config.json", FALSE, k, pool);
  g->doc = evo_json_parse_file (json, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, &error);
  g_assert_no_error (error);
  g->json = evo_json_root (g->doc);
}

static void
golden_clear (Golden *g)
{
  fixture_clear (&g->f);
  evo_json_free (g->doc);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Golden, golden_clear)

static void
check_ids (const GArray *out, const EvoJson *expected)
{
  g_autoptr (GArray) ids = fixture_ids (expected);

  g_assert_cmpmem (out->data, out->len * sizeof (gint32), ids->data, ids->len * sizeof (gint32));
}

static const EvoJson *
member (const EvoJson *v, const char *key)
{
  v = evo_json_member (v, key);
  g_assert_nonnull (v);
  return v;
}

/* The requests of an expected list, generated together. */
static void
check_list (const Golden *g, const char *list, EvoGenerateOptions o, void (*check) (const EvoGeneration *, const EvoJson *))
{
  const EvoJson *cases = member (g->json, list);
  guint n = evo_json_size (cases);
  g_autofree EvoGeneration *requests = g_new0 (EvoGeneration, n);
  g_autoptr (GPtrArray) prompts = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < n; i++) {
    GArray *ids = fixture_ids (evo_json_at (member (g->json, "prompts"), (guint) evo_json_number (member (evo_json_at (cases, i), "prompt"))));

    g_ptr_array_add (prompts, ids);
    requests[i] = (EvoGeneration){ .ids = (const gint32 *) ids->data, .n_ids = ids->len };
  }
  evo_text_model_generate (g->f.model, requests, n, &o, 0, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < n; i++) {
    check (&requests[i], evo_json_at (cases, i));
    evo_generation_clear (&requests[i]);
  }
}

static void
check_tokens (const EvoGeneration *r, const EvoJson *expected)
{
  check_ids (r->out, member (expected, "tokens"));
  g_assert_cmpint (r->reason, ==, EVO_STOP_LENGTH);
  g_assert_null (r->text);
}

static void
on_each (void (*func) (const Golden *))
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  const EvoKernels *k;

  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++)
    for (guint m = 0; m < G_N_ELEMENTS (models); m++) {
      g_auto (Golden) g = { { NULL } };

      golden_open (&g, models[m], k, pool);
      func (&g);
    }
}

static void
check_greedy (const Golden *g)
{
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;

  o.max_tokens = 24;
  o.ignore_eos = TRUE;
  check_list (g, "greedy", o, check_tokens);
  o.repetition_penalty = 1.5;
  check_list (g, "greedy_repetition_penalty", o, check_tokens);
}

static void
test_greedy (void)
{
  on_each (check_greedy);
}

/* ------------------------------------------------------------------ beams */

static void
check_beam (const EvoGeneration *r, const EvoJson *expected)
{
  const EvoJson *best = evo_json_at (member (expected, "hypotheses"), 0);

  check_ids (r->out, member (expected, "tokens"));
  /* scores of the reference are float32: README of the golden data allows 1e-5 */
  g_assert_cmpfloat_with_epsilon (r->score, evo_json_number (member (best, "score")), 1e-5);
  g_assert_cmpuint (r->logprobs->len, ==, 0);
}

/* One case at a time: each names its own stop token. */
static void
check_beams (const Golden *g)
{
  const EvoJson *cases = member (g->json, "beam");

  for (guint i = 0; i < evo_json_size (cases); i++) {
    const EvoJson *c = evo_json_at (cases, i);
    EvoDecoderSpec spec = g->f.spec;
    EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;
    g_autoptr (GArray) ids = fixture_ids (evo_json_at (member (g->json, "prompts"), (guint) evo_json_number (member (c, "prompt"))));
    EvoGeneration r[2] = { { .ids = (const gint32 *) ids->data, .n_ids = ids->len }, { .ids = (const gint32 *) ids->data, .n_ids = 3 } };
    g_autoptr (GError) error = NULL;
    g_autoptr (EvoPool) pool = evo_pool_new (1);

    spec.n_eos = evo_json_kind (member (c, "eos_token_id")) == EVO_JSON_NUMBER;
    spec.eos[0] = (gint64) evo_json_number (member (c, "eos_token_id"));
    o.beams = (gint64) evo_json_number (member (c, "num_beams"));
    o.max_tokens = (gint64) evo_json_number (member (c, "max_new_tokens"));
    o.repetition_penalty = evo_json_number (member (c, "repetition_penalty"));
    o.length_penalty = evo_json_number (member (c, "length_penalty"));
    o.early_stopping = evo_json_bool (member (c, "early_stopping"));
    g_autoptr (EvoTextModel) m = evo_text_model_new (&spec, NULL, evo_kernels_get (), pool);
    fixture_fill (m, g->f.store, g->f.checkpoint);
    evo_text_model_generate (m, r, 2, &o, 0, &error); /* the other request is company, to be kept apart */
    g_assert_no_error (error);
    check_beam (&r[0], c);
    evo_generation_clear (&r[0]);
    evo_generation_clear (&r[1]);
  }
}

static void
test_beam (void)
{
  on_each (check_beams);
}

/* ------------------------------------------------------------------ scores */

static void
check_scores (const Golden *g)
{
  const EvoJson *loglik = member (g->json, "loglik"), *list = member (loglik, "continuations"), *nll = member (g->json, "nll");
  guint n = evo_json_size (list);
  g_autofree EvoScoring *s = g_new0 (EvoScoring, n + 1);
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i <= n; i++) {
    GArray *ids = fixture_ids (i < n ? member (loglik, "context") : member (nll, "tokens"));
    gsize first = i < n ? ids->len : 1;

    if (i < n) {
      g_autoptr (GArray) more = fixture_ids (member (evo_json_at (list, i), "tokens"));

      g_array_append_vals (ids, more->data, more->len);
    }
    g_ptr_array_add (texts, ids);
    s[i] = (EvoScoring){ .ids = (const gint32 *) ids->data, .n_ids = ids->len, .first = first };
  }
  evo_text_model_score (g->f.model, s, n + 1, 0, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < n; i++) {
    const EvoJson *c = evo_json_at (list, i);

    g_assert_cmpfloat_with_epsilon (s[i].log_likelihood, evo_json_number (member (c, "logprob_f64")), 2e-4); /* README of the golden data */
    g_assert_cmpint (s[i].is_greedy, ==, evo_json_bool (member (c, "is_greedy")));
  }
  g_assert_cmpfloat_with_epsilon (-s[n].log_likelihood / evo_json_number (member (nll, "terms")), evo_json_number (member (nll, "mean_nll_f64")),
                                  1e-5); /* ibid. */
}

static void
test_score (void)
{
  on_each (check_scores);
}

static void
test_score_bounds (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_auto (Golden) g = { { NULL } };
  g_autoptr (GError) error = NULL;
  gint32 ids[300];

  for (guint i = 0; i < 300; i++)
    ids[i] = (gint32) (i * 7 % 288);
  golden_open (&g, "llama", evo_kernels_get (), pool);
  /* 257 tokens: 256 positions predict 256 of them */
  EvoScoring s[] = { { ids, 257, 1, 9, FALSE }, { ids, 5, 5, 9, FALSE }, { ids, 1, 1, 9, FALSE }, { ids, 258, 1, 9, FALSE } };
  g_assert_true (evo_text_model_score (g.f.model, s, 3, 0, NULL));
  g_assert_cmpfloat (s[0].log_likelihood, <, -100);
  g_assert_cmpfloat (s[1].log_likelihood, ==, 0); /* nothing to predict */
  g_assert_true (s[1].is_greedy);
  g_assert_cmpfloat (s[2].log_likelihood, ==, 0);
  g_assert_false (evo_text_model_score (g.f.model, s, 4, 0, &error));
  g_assert_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE);
  g_assert_cmpstr (error->message, ==, "text 3: its 258 tokens are more than the model's 256 positions");
  g_clear_error (&error);
  s[0].first = 0;
  g_assert_false (evo_text_model_score (g.f.model, s, 1, 0, &error));
  g_assert_error (error, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE);
}

/* ------------------------------------------------------------------ the same bits however it is batched */

enum { REQUESTS = 40 };

typedef struct { gint32 ids[REQUESTS][64]; gsize n[REQUESTS]; } Prompts;

/* Of many lengths; some begin alike, some are the same. */
static void
make_prompts (Prompts *p, gsize vocab)
{
  for (guint i = 0; i < REQUESTS; i++) {
    p->n[i] = 1 + i * 29 % 60;
    for (guint j = 0; j < 64; j++)
      p->ids[i][j] = (gint32) ((j < 20 ? j * 31 + i % 3 : j * 17 + i * 7) % vocab);
  }
}

static void
generate (const Fixture *f, const Prompts *p, const guint *which, gsize n, const EvoGenerateOptions *o, guint batch, EvoGeneration *out)
{
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < n; i++)
    out[i] = (EvoGeneration){ .ids = p->ids[which[i]], .n_ids = p->n[which[i]] };
  evo_text_model_generate (f->model, out, n, o, batch, &error);
  g_assert_no_error (error);
}

static void
check_same (const EvoGeneration *a, const EvoGeneration *b)
{
  g_assert_cmpmem (a->out->data, a->out->len * sizeof (gint32), b->out->data, b->out->len * sizeof (gint32));
  g_assert_cmpmem (a->logprobs->data, a->logprobs->len * sizeof (float), b->logprobs->data, b->logprobs->len * sizeof (float));
  g_assert_cmpint (a->reason, ==, b->reason);
  g_assert_cmpfloat (a->score, ==, b->score);
}

static void
check_batching (const char *model, const EvoKernels *k, const EvoGenerateOptions *o)
{
  static const guint threads[] = { 1, 3 }, batches[] = { 0, 1, 16 };
  static Prompts prompts;
  guint all[REQUESTS];
  EvoGeneration reference[REQUESTS], r[REQUESTS];

  for (guint i = 0; i < REQUESTS; i++)
    all[i] = i;
  for (guint t = 0; t < G_N_ELEMENTS (threads); t++) {
    g_autoptr (EvoPool) pool = evo_pool_new (threads[t]);
    g_auto (Golden) g = { { NULL } };

    golden_open (&g, model, k, pool);
    make_prompts (&prompts, (gsize) g.f.spec.vocab);
    for (guint b = 0; b < G_N_ELEMENTS (batches); b++) {
      generate (&g.f, &prompts, all, REQUESTS, o, batches[b], t + b == 0 ? reference : r);
      for (guint i = 0; t + b > 0 && i < REQUESTS; i++) {
        check_same (&reference[i], &r[i]);
        evo_generation_clear (&r[i]);
      }
    }
    if (o->temperature > 0) /* a request's stream goes by its place in the list */
      continue;
    for (guint n = 1; n <= 7; n += 6) {
      const guint few[] = { 13, 2, 39, 0, 21, 22, 30 };

      generate (&g.f, &prompts, few, n, o, 0, r);
      for (guint i = 0; i < n; i++) {
        check_same (&reference[few[i]], &r[i]);
        evo_generation_clear (&r[i]);
      }
    }
  }
  for (guint i = 0; i < REQUESTS; i++)
    evo_generation_clear (&reference[i]);
}

static void
test_batching (void)
{
  EvoGenerateOptions greedy = EVO_GENERATE_DEFAULTS, penalised = EVO_GENERATE_DEFAULTS, beams = EVO_GENERATE_DEFAULTS;
  EvoGenerateOptions sampled = EVO_GENERATE_DEFAULTS;
  const EvoKernels *k;

  greedy.max_tokens = 24;
  penalised.max_tokens = 20;
  penalised.repetition_penalty = 1.3;
  beams.max_tokens = 8;
  beams.beams = 4;
  sampled.max_tokens = 16;
  sampled.temperature = 0.8;
  sampled.seed = 42;
  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++) {
    check_batching ("llama", k, &greedy);
    check_batching ("mistral", k, &greedy);
    check_batching ("llama-tied", k, &penalised);
    check_batching ("llama", k, &beams);
    check_batching ("mistral", k, &sampled);
  }
}

static void
score (const Fixture *f, const Prompts *p, guint batch, EvoScoring *s)
{
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < REQUESTS; i++)
    s[i] = (EvoScoring){ p->ids[i], p->n[i] + 4, 1 + i % 3 * (p->n[i] / 2), 0, FALSE };
  evo_text_model_score (f->model, s, REQUESTS, batch, &error);
  g_assert_no_error (error);
}

static void
test_score_batching (void)
{
  static Prompts prompts;
  const EvoKernels *k;

  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++)
    for (guint m = 0; m < G_N_ELEMENTS (models); m++) {
      EvoScoring reference[REQUESTS], s[REQUESTS];

      for (guint threads = 1; threads <= 3; threads += 2) {
        g_autoptr (EvoPool) pool = evo_pool_new (threads);
        g_auto (Golden) g = { { NULL } };

        golden_open (&g, models[m], k, pool);
        make_prompts (&prompts, (gsize) g.f.spec.vocab);
        if (threads == 1)
          score (&g.f, &prompts, 0, reference);
        for (guint batch = 0; batch <= 16; batch = batch == 0 ? 1 : batch * 16) {
          score (&g.f, &prompts, batch, s);
          for (guint j = 0; j < REQUESTS; j++) {
            g_assert_cmpfloat (s[j].log_likelihood, ==, reference[j].log_likelihood);
            g_assert_cmpint (s[j].is_greedy, ==, reference[j].is_greedy);
          }
        }
      }
    }
}

/* ------------------------------------------------------------------ log-probabilities */

static void
test_logprobs (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (1);
  g_auto (Golden) g = { { NULL } };
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;
  static Prompts prompts;
  const guint which[] = { 5 };
  EvoGeneration r, bare;
  gint32 ids[128];

  o.max_tokens = 12;
  o.repetition_penalty = 2;
  o.ignore_eos = TRUE;
  golden_open (&g, "llama", evo_kernels_get (), pool);
  make_prompts (&prompts, (gsize) g.f.spec.vocab);
  generate (&g.f, &prompts, which, 1, &o, 0, &r);
  g_assert_cmpuint (r.logprobs->len, ==, 12);
  memcpy (ids, r.ids, r.n_ids * sizeof *ids);
  memcpy (ids + r.n_ids, r.out->data, r.out->len * sizeof *ids);
  for (guint i = 0; i < 12; i++) {
    EvoScoring s = { ids, r.n_ids + i + 1, r.n_ids + i, 0, FALSE };

    g_assert_true (evo_text_model_score (g.f.model, &s, 1, 0, NULL));
    g_assert_cmpfloat ((float) s.log_likelihood, ==, g_array_index (r.logprobs, float, i)); /* before the penalty; the same bits */
  }
  o.logprobs = FALSE;
  generate (&g.f, &prompts, which, 1, &o, 0, &bare);
  g_assert_cmpuint (bare.logprobs->len, ==, 0);
  g_assert_cmpmem (r.out->data, r.out->len * sizeof (gint32), bare.out->data, bare.out->len * sizeof (gint32));
  evo_generation_clear (&r);
  evo_generation_clear (&bare);
}

/* ------------------------------------------------------------------ ends */

static void
test_eos (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (1);
  g_auto (Golden) g = { { NULL } };
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;
  const EvoJson *tokens;

  o.max_tokens = 24;
  golden_open (&g, "llama", evo_kernels_get (), pool);
  tokens = member (evo_json_at (member (g.json, "greedy"), 1), "tokens"); /* 2, the config's eos, is its 20th token */
  g_autoptr (GArray) expected = fixture_ids (tokens), ids = fixture_ids (evo_json_at (member (g.json, "prompts"), 1));
  EvoGeneration r = { .ids = (const gint32 *) ids->data, .n_ids = ids->len };
  g_assert_cmpint (g_array_index (expected, gint32, 19), ==, 2);
  g_assert_true (evo_text_model_generate (g.f.model, &r, 1, &o, 0, NULL));
  g_assert_cmpint (r.reason, ==, EVO_STOP_EOS);
  g_assert_cmpmem (r.out->data, r.out->len * sizeof (gint32), expected->data, 20 * sizeof (gint32));
  evo_generation_clear (&r);
}

static void
test_length (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_auto (Golden) g = { { NULL } };
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;
  gint32 ids[256];
  static const struct { gsize n_ids; guint out; } cases[] = { { 250, 6 }, { 255, 1 }, { 256, 0 }, { 3, 9 } };
  EvoGeneration r[G_N_ELEMENTS (cases)] = { { NULL } };

  o.max_tokens = 9;
  o.ignore_eos = TRUE;
  for (guint i = 0; i < 256; i++)
    ids[i] = (gint32) (i * 5 % 288);
  golden_open (&g, "llama", evo_kernels_get (), pool);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    r[i] = (EvoGeneration){ .ids = ids, .n_ids = cases[i].n_ids };
  g_assert_true (evo_text_model_generate (g.f.model, r, G_N_ELEMENTS (cases), &o, 0, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_assert_cmpuint (r[i].out->len, ==, cases[i].out);
    g_assert_cmpint (r[i].reason, ==, EVO_STOP_LENGTH);
    evo_generation_clear (&r[i]);
  }
  o.max_tokens = 0;
  r[0] = (EvoGeneration){ .ids = ids, .n_ids = 4 };
  g_assert_true (evo_text_model_generate (g.f.model, r, 1, &o, 0, NULL));
  g_assert_cmpuint (r[0].out->len, ==, 0);
  evo_generation_clear (&r[0]);
  g_assert_true (evo_text_model_generate (g.f.model, r, 0, &o, 0, NULL));
}

static void
check_refused (const Golden *g, EvoGenerateOptions o, const gint32 *ids, gsize n_ids, GQuark domain, gint code, const char *message)
{
  EvoGeneration r = { .ids = ids, .n_ids = n_ids };
  g_autoptr (GError) error = NULL;

  g_assert_false (evo_text_model_generate (g->f.model, &r, 1, &o, 0, &error));
  g_assert_error (error, domain, code);
  g_assert_cmpstr (error->message, ==, message);
  g_assert_null (r.out);
  g_assert_null (r.text);
}

static void
test_errors (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_auto (Golden) g = { { NULL } };
  const EvoGenerateOptions plain = EVO_GENERATE_DEFAULTS;
  EvoGenerateOptions o = plain;
  const char *const stop[] = { "x" };
  const gint32 good[] = { 1, 2 }, high[] = { 1, 288 }, low[] = { -1 };
  const EvoRole norm = { .slot = "final_norm" };
  const gint64 dims[] = { 48 };
  float nan[48];

  golden_open (&g, "llama", evo_kernels_get (), pool);
  check_refused (&g, plain, good, 0, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "request 0: the prompt has no tokens");
  check_refused (&g, plain, high, 2, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT,
                 "token 288 of request 0 is not among the model's 288 tokens; the tokenizer may belong to another model");
  check_refused (&g, plain, low, 1, EVO_STORE_ERROR, EVO_STORE_ERROR_FORMAT,
                 "token -1 of request 0 is not among the model's 288 tokens; the tokenizer may belong to another model");
  o.n_stop = 1;
  o.stop = stop;
  check_refused (&g, o, good, 2, EVO_STORE_ERROR, EVO_STORE_ERROR_MISSING, "stop strings need a tokenizer, and the model has none");
  o = plain;
  o.beams = 3;
  o.temperature = 1;
  check_refused (&g, o, good, 2, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE,
                 "beams: 3 beams are searched without sampling; temperature must be 0");
  o = plain;
  o.beams = 0;
  check_refused (&g, o, good, 2, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE, "beams: 0 is outside 1 ... 1024");
  o = plain;
  o.repetition_penalty = NAN;
  check_refused (&g, o, good, 2, EVO_PARAM_ERROR, EVO_PARAM_ERROR_RANGE,
                 "temperature and top_k must not be negative, repetition_penalty and top_p must be positive, length_penalty finite");
  for (guint i = 0; i < 48; i++)
    nan[i] = NAN;
  g_assert_true (evo_text_model_set_tensor (g.f.model, &norm, "model.norm.weight", EVO_DTYPE_F32, 1, dims, nan, NULL));
  check_refused (&g, plain, good, 2, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "the model's outputs are not finite numbers");
  o = plain;
  o.beams = 2;
  check_refused (&g, o, good, 2, EVO_PLUGIN_ERROR, EVO_PLUGIN_ERROR_NUMERIC, "the model's outputs are not finite numbers");
}

/* ------------------------------------------------------------------ trained models */

/* llama2.c's run at temperature 0, over some 64 positions; the prompt's tokens come first. */
static void
test_stories (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_auto (Fixture) f = { NULL };
  g_autofree char *path = fixture_path ("tests/data/llm/stories260K/greedy.tsv"), *text = NULL;
  guint n = 0;

  fixture_open (&f, "tests/data/llm/stories260K", "config.json", FALSE, evo_kernels_get (), pool);
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = 1; lines[i] != NULL && *lines[i] != '\0'; i++, n++) {
    g_auto (GStrv) fields = g_strsplit (lines[i], "\t", -1), words = g_strsplit (fields[1], " ", -1);
    gint32 ids[80];
    gsize n_all = g_strv_length (words), n_prompt = 1 + (gsize) g_ascii_strtoull (fields[2], NULL, 10);
    double nll = g_ascii_strtod (fields[3], NULL);
    EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;

    g_assert_cmpuint (n_all, <=, G_N_ELEMENTS (ids));
    for (gsize j = 0; j < n_all; j++)
      ids[j] = (gint32) g_ascii_strtoll (words[j], NULL, 10);
    EvoGeneration r = { .ids = ids, .n_ids = n_prompt };
    EvoScoring s = { ids, n_prompt, 1, 0, FALSE };
    o.max_tokens = (gint64) (n_all - n_prompt);
    g_assert_true (evo_text_model_generate (f.model, &r, 1, &o, 0, NULL));
    g_assert_cmpmem (r.out->data, r.out->len * sizeof (gint32), ids + n_prompt, (n_all - n_prompt) * sizeof (gint32));
    g_assert_true (evo_text_model_score (f.model, &s, 1, 0, NULL));
    g_assert_cmpfloat_with_epsilon (-s.log_likelihood, nll, 2e-4); /* sums of up to 8 float32 terms of up to 30; printed with 6 digits */
    evo_generation_clear (&r);
  }
  g_assert_cmpuint (n, >=, 8);
}

static void
check_mini (const char *name, const EvoJson *expected, const EvoKernels *k, EvoPool *pool)
{
  g_auto (Fixture) f = { NULL };
  g_autofree char *path = g_strdup_printf ("models/tiny/%s", name);
  const EvoJson *prompts = member (expected, "prompts"), *last = member (expected, "logits_last");
  g_autoptr (GArray) ids = fixture_ids (member (expected, "logits_prompt_ids"));
  guint n = evo_json_size (prompts);
  g_autofree EvoGeneration *r = g_new0 (EvoGeneration, n);
  g_autoptr (GPtrArray) kept = g_ptr_array_new_with_free_func ((GDestroyNotify) g_array_unref);
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;
  g_autofree float *logits = NULL;

  fixture_open (&f, path, "config.json", TRUE, k, pool);
  o.max_tokens = 48;
  for (guint i = 0; i < n; i++) {
    GArray *prompt = fixture_ids (member (evo_json_at (prompts, i), "prompt_ids"));

    g_ptr_array_add (kept, prompt);
    r[i] = (EvoGeneration){ .ids = (const gint32 *) prompt->data, .n_ids = prompt->len };
  }
  g_assert_true (evo_text_model_generate (f.model, r, n, &o, 0, NULL));
  for (guint i = 0; i < n; i++) {
    check_ids (r[i].out, member (evo_json_at (prompts, i), "output_ids"));
    g_assert_cmpstr (r[i].text->str, ==, evo_json_string (member (evo_json_at (prompts, i), "output_text")));
    evo_generation_clear (&r[i]);
  }
  logits = g_new (float, ids->len * (gsize) f.spec.vocab);
  g_assert_true (evo_text_model_logits (f.model, (const gint32 *) ids->data, ids->len, logits, NULL, NULL));
  for (guint i = 0; i < evo_json_size (last); i++) /* printed with 5 decimals; float32 on both sides */
    g_assert_cmpfloat_with_epsilon (logits[(ids->len - 1) * (gsize) f.spec.vocab + i], evo_json_number (evo_json_at (last, i)), 1e-4);
}

static void
test_mini (void)
{
  g_autofree char *path = fixture_path ("tests/data/llm/mini-golden.json");
  g_autoptr (GError) error = NULL;
  g_autoptr (EvoJsonDoc) doc = evo_json_parse_file (path, EVO_STORE_ERROR, EVO_STORE_ERROR_OPEN, EVO_STORE_ERROR_FORMAT, &error);
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  const EvoJson *all;
  const EvoKernels *k;

  g_assert_no_error (error);
  all = member (evo_json_root (doc), "models");
  for (guint i = 0; (k = fixture_kernels (i)) != NULL; i++)
    for (guint m = 0; m < evo_json_size (all); m++)
      if (i > 0 || m == 0 || g_test_slow ()) /* one is enough for the slow table */
        check_mini (evo_json_key (evo_json_at (all, m)), evo_json_at (all, m), k, pool);
}

/* ------------------------------------------------------------------ stop strings */

static void
check_stop (const Fixture *f, const gint32 *ids, gsize n_ids, gint64 beams, const char *whole, const char *stop)
{
  const char *const stops[] = { "never to be seen", stop };
  const char *at = strstr (whole, stop);
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;
  EvoGeneration r = { .ids = ids, .n_ids = n_ids };

  o.max_tokens = 40;
  o.beams = beams;
  o.stop = stops;
  o.n_stop = 2;
  g_assert_true (evo_text_model_generate (f->model, &r, 1, &o, 0, NULL));
  if (beams == 1) {
    g_autofree char *expected = at == NULL ? g_strdup (whole) : g_strndup (whole, (gsize) (at - whole));

    g_assert_cmpstr (r.text->str, ==, expected);
    g_assert_cmpint (r.reason, ==, at == NULL ? EVO_STOP_LENGTH : EVO_STOP_STRING);
    g_assert_cmpuint (r.out->len, <=, 40);
  } else {
    g_assert_null (strstr (r.text->str, stop));
    g_assert_cmpint (r.reason, ==, EVO_STOP_STRING);
  }
  evo_generation_clear (&r);
}

static void
test_stop_strings (void)
{
  g_autoptr (EvoPool) pool = evo_pool_new (2);
  g_auto (Fixture) f = { NULL };
  const gint32 ids[] = { 1, 403, 407, 261, 378 };
  EvoGenerateOptions o = EVO_GENERATE_DEFAULTS;
  EvoGeneration r = { .ids = ids, .n_ids = 5 };

  fixture_open (&f, "tests/data/llm/stories260K", "config.json", TRUE, evo_kernels_get (), pool);
  o.max_tokens = 40;
  g_assert_true (evo_text_model_generate (f.model, &r, 1, &o, 0, NULL));
  g_assert_cmpuint (r.text->len, >, 40);
  /* any piece of the text must be found, wherever token boundaries fall */
  for (gsize i = 0; i + 6 < r.text->len; i++)
    for (gsize n = 1; n <= 6; n += 5) {
      g_autofree char *stop = g_strndup (r.text->str + i, n);

      check_stop (&f, ids, 5, 1, r.text->str, stop);
    }
  check_stop (&f, ids, 5, 1, r.text->str, "XYZ");
  check_stop (&f, ids, 5, 3, r.text->str, "a");
  evo_generation_clear (&r);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/nn/generate/greedy", test_greedy);
  g_test_add_func ("/nn/generate/beam", test_beam);
  g_test_add_func ("/nn/generate/score", test_score);
  g_test_add_func ("/nn/generate/score-bounds", test_score_bounds);
  g_test_add_func ("/nn/generate/batching", test_batching);
  g_test_add_func ("/nn/generate/score-batching", test_score_batching);
  g_test_add_func ("/nn/generate/logprobs", test_logprobs);
  g_test_add_func ("/nn/generate/eos", test_eos);
  g_test_add_func ("/nn/generate/length", test_length);
  g_test_add_func ("/nn/generate/errors", test_errors);
  g_test_add_func ("/nn/generate/stories", test_stories);
  g_test_add_func ("/nn/generate/mini", test_mini);
  g_test_add_func ("/nn/generate/stop-strings", test_stop_strings);
  return g_test_run ();
}
