/* SPDX-License-Identifier: Apache-2.0
 * host-keys.c - what may stand in a node beside its plugin's parameters.
 */
#include "core/cli/host-keys.h"

enum {
  MODELS = 1 << EVO_KIND_MODEL, MERGES = 1 << EVO_KIND_MERGE, SEARCHES = 1 << EVO_KIND_OPTIMIZER, EVALUATORS = 1 << EVO_KIND_EVALUATOR,
  ANY = MODELS | MERGES | SEARCHES | EVALUATORS
};

#define TEXT "{\"type\": \"string\", \"minLength\": 1}"
#define DTYPES \
  "{\"enum\": [\"bf16\", \"f16\", \"f32\", \"f64\", \"f8_e4m3\", \"f8_e5m2\", \"bfloat16\", \"float16\", \"float32\", \"float64\", \"float8_e4m3fn\", " \
  "\"float8_e5m2\"]}"
#define FROM_1 "{\"type\": \"integer\", \"minimum\": 1}"
#define OBJECTIVES \
  "{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"object\", \"required\": [\"from\"], \"properties\": {\"from\": {\"type\": \"string\"}, " \
  "\"weight\": {\"type\": \"number\", \"exclusiveMinimum\": 0}, \"note\": {\"type\": \"string\"}}, \"additionalProperties\": false}, " \
  "{\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": [\"string\", \"object\"]}}]}"

const EvoHostKey evo_host_keys[] = {
  { MERGES, "base", "a node", TEXT, "The base model: what changes are measured against, and whose configuration and tokenizer the result has." },
  { MERGES, "in", "nodes", NULL, "The models to be merged: names, or {\"from\": NAME, ...} with the parameters of that input." },
  { EVALUATORS, "in", "a node, or a list", "{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\"}}]}",
    "The models to be scored; one for an objective of a search." },
  { MERGES, "masks", "common, trial", "{\"anyOf\": [{\"enum\": [\"common\", \"trial\"]}, {\"type\": \"object\", \"required\": [\"trial\"], "
    "\"properties\": {\"trial\": {\"type\": \"integer\", \"minimum\": 0}}}]}",
    "Random masks are the same in every trial, or new in each; {\"trial\": N} repeats those of trial N." },
  { MODELS | MERGES, "dtype", "bf16, f16, f32, f64, f8_e4m3, f8_e5m2, or {selector: dtype}",
    "{\"anyOf\": [" DTYPES ", {\"type\": \"object\", \"minProperties\": 1, \"additionalProperties\": {\"type\": \"string\"}}]}",
    "What the tensors are rounded to, all or by selector; not given: as the base, or the first input, has them." },
  { MERGES, "compat", "mergekit, {mergekit: dtype}", "{\"anyOf\": [{\"const\": \"mergekit\"}, {\"type\": \"object\", \"required\": [\"mergekit\"], "
    "\"properties\": {\"mergekit\": " DTYPES ", \"note\": {\"type\": \"string\"}}, \"additionalProperties\": false}]}",
    "mergekit's defaults; with a dtype, what is read and what results are rounded to it, as under mergekit's dtype." },
  { MODELS, "allow_nonfinite", "true or false", "{\"type\": \"boolean\"}",
    "Lets its NaN and infinities, and what comes of them, through; not given: they are an error that names model and tensor." },
  { MERGES, "tokenizer", "base, union, truncate, a node, or {source, pad_to_multiple_of, tokens}", "{\"anyOf\": [{\"type\": \"string\", \"minLength\": 1}, "
    "{\"type\": \"object\", \"required\": [\"source\"], \"properties\": {\"source\": {\"type\": \"string\"}, \"pad_to_multiple_of\": {\"type\": \"integer\", "
    "\"minimum\": 1}, \"tokens\": {\"type\": \"object\", \"additionalProperties\": {\"type\": \"object\", \"required\": [\"source\"], \"properties\": "
    "{\"source\": {\"type\": [\"string\", \"object\"]}, \"force\": {\"type\": \"boolean\"}, \"note\": {\"type\": \"string\"}}, "
    "\"additionalProperties\": false}}, \"note\": {\"type\": \"string\"}}, \"additionalProperties\": false}]}",
    "The result's vocabulary: rows of embeddings are gathered by token. A token that an input lacks has the row of the only input that has it, else "
    "the base's, else the mean; padding is the mean of all rows. Not given: embeddings must be of one shape. truncate: rows are cut." },
  { MERGES, "chat_template", "auto, alpaca, chatml, exaone, llama3, mistral, or a template", TEXT,
    "The result's chat template: of this name, or in Jinja; auto: what most of its inputs have. Not given: that of the tokenizer's files." },
  { EVALUATORS, "data", "a file", TEXT, "The items: .jsonl, .json, .tsv, .csv, or .txt with a \"format\"." },
  { EVALUATORS, "format", "jsonl, json, tsv, csv, lines, text", "{\"enum\": [\"jsonl\", \"json\", \"tsv\", \"csv\", \"lines\", \"text\"]}",
    "How the file is read; not given: by its ending. lines: every line is an item; text: all of it is one." },
  { EVALUATORS, "columns", "a list of names", "{\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\"}}",
    "Names of the columns of a file without a line that names them." },
  { EVALUATORS, "template", "a name or a file", TEXT, "The prompt, with {field} for the fields of an item: of pipelines/templates, or a path." },
  { EVALUATORS, "shuffle", "true or false", "{\"type\": \"boolean\"}", "Shuffles the items, by the node's seed." },
  { EVALUATORS, "sample", "1 ...", FROM_1, "Draws so many items, by the node's seed, and keeps their order." },
  { EVALUATORS, "skip", "0 ...", "{\"type\": \"integer\", \"minimum\": 0}", "Then passes over so many." },
  { EVALUATORS, "limit", "1 ...", FROM_1, "Then takes only the first of them." },
  { EVALUATORS, "language_test", "fasttext, script", "{\"enum\": [\"fasttext\", \"script\"]}",
    "How the language of an answer is told; script: by its characters." },
  { EVALUATORS, "against", "a node of \"in\"", TEXT, "Exam: the model the others are compared with; not given: the best-scoring source." },
  { SEARCHES, "maximize", "evaluators", OBJECTIVES, "What is searched for: names, or {\"from\": NAME, \"weight\": W}; all score one model." },
  { SEARCHES, "minimize", "evaluators", OBJECTIVES, "As maximize, for scores of which less is better." },
  { SEARCHES, "trials", "1 ...", FROM_1, "Evaluations at most." },
  { SEARCHES, "minutes", "above 0", "{\"type\": \"number\", \"exclusiveMinimum\": 0}", "Minutes at most, looked at between generations." },
  { SEARCHES, "stall", "1 ...", FROM_1, "Ends after so many trials without a new best." },
  { SEARCHES, "start_from", "a list of {gene: value}", "{\"type\": \"array\", \"items\": {\"type\": \"object\"}}",
    "Points that are tried first; genes that are not named have their start value." },
  { SEARCHES, "sample", "{items, per}", "{\"type\": \"object\", \"required\": [\"items\"], \"properties\": {\"items\": " FROM_1
    ", \"per\": {\"const\": \"generation\"}, \"note\": {\"type\": \"string\"}}, \"additionalProperties\": false}",
    "Scores every generation on so many items of another draw; needs validate." },
  { SEARCHES, "validate", "an evaluator", TEXT, "Scores the best of each generation on other items; the best of these is the result." },
  { ANY, "seed", "0 ...", "{\"type\": \"integer\", \"minimum\": 0}", "Of this node's random numbers; not given: the pipeline's." },
  { ANY, "note", "a text", "{\"type\": \"string\"}", "For people; nothing reads it." },
  { 0, NULL, NULL, NULL, NULL }
};
