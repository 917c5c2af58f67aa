/* SPDX-License-Identifier: Apache-2.0
 * layout.h - sizes and offsets of every public struct of ABI 1.0, on machines with 64-bit pointers.
 *
 * Compiled against today's headers and against the archived ones in 1.0/. A member never moves within ABI 1; later minor versions may add some
 * at the end, and only of structs that carry their own size or that the host alone allocates.
 */
#if EVO_ABI_MINOR == 0
#define SIZE(S, n) _Static_assert (sizeof (S) == (n), "size of " #S)
#else
#define SIZE(S, n) _Static_assert (sizeof (S) >= (n), "size of " #S)
#endif
#define AT(S, member, n) _Static_assert (offsetof (S, member) == (n), "offset of " #S "." #member)

SIZE (EvoKernels, 384);
AT (EvoKernels, size, 0); AT (EvoKernels, isa, 8); AT (EvoKernels, zero, 16); AT (EvoKernels, copy, 24); AT (EvoKernels, scale, 32);
AT (EvoKernels, axpy, 40); AT (EvoKernels, axpy_diff, 48); AT (EvoKernels, add, 56); AT (EvoKernels, sub, 64); AT (EvoKernels, mul, 72);
AT (EvoKernels, div, 80); AT (EvoKernels, mix, 88); AT (EvoKernels, abs, 96); AT (EvoKernels, keep_top, 104);
AT (EvoKernels, uniform, 112); AT (EvoKernels, keep_random, 120); AT (EvoKernels, elect, 128); AT (EvoKernels, sum, 136);
AT (EvoKernels, sum_abs, 144); AT (EvoKernels, dot, 152); AT (EvoKernels, dot_diff, 160); AT (EvoKernels, f32_from_bf16, 168);
AT (EvoKernels, f32_from_f16, 176); AT (EvoKernels, bf16_from_f32, 184); AT (EvoKernels, f16_from_f32, 192);
AT (EvoKernels, all_finite, 200); AT (EvoKernels, histogram, 208); AT (EvoKernels, packed_bytes, 216); AT (EvoKernels, pack, 224);
AT (EvoKernels, matmul, 232); AT (EvoKernels, matmul_scratch, 240); AT (EvoKernels, rms_norm, 248); AT (EvoKernels, silu_mul, 256);
AT (EvoKernels, rope, 264); AT (EvoKernels, attend, 272); AT (EvoKernels, argmax, 280); AT (EvoKernels, log_sum_exp, 288);
AT (EvoKernels, attend_many, 296); AT (EvoKernels, attend_scratch, 304);
AT (EvoKernels, eigh, 312); AT (EvoKernels, eigh_work, 320); AT (EvoKernels, svd, 328); AT (EvoKernels, svd_work, 336);
AT (EvoKernels, gemm, 344); AT (EvoKernels, divergence, 352); AT (EvoKernels, keep_ranked, 360);
AT (EvoKernels, deviation, 368); AT (EvoKernels, bf16_all_finite, 376);

SIZE (EvoStrings, 16);
AT (EvoStrings, items, 0); AT (EvoStrings, n, 8);

SIZE (EvoNumbers, 16);
AT (EvoNumbers, items, 0); AT (EvoNumbers, n, 8);

SIZE (EvoParam, 88);
AT (EvoParam, name, 0); AT (EvoParam, type, 8); AT (EvoParam, offset, 12); AT (EvoParam, flags, 16); AT (EvoParam, def, 24);
AT (EvoParam, def_string, 32); AT (EvoParam, min, 40); AT (EvoParam, max, 48); AT (EvoParam, search_low, 56);
AT (EvoParam, search_high, 64); AT (EvoParam, names, 72); AT (EvoParam, doc, 80);

SIZE (EvoPlugin, 24);
AT (EvoPlugin, magic, 0); AT (EvoPlugin, abi_major, 4); AT (EvoPlugin, abi_minor, 6); AT (EvoPlugin, sizeof_param, 8);
AT (EvoPlugin, kind, 10); AT (EvoPlugin, n_ops, 12); AT (EvoPlugin, ops, 16);

SIZE (EvoOp, 40);
AT (EvoOp, size, 0); AT (EvoOp, name, 8); AT (EvoOp, summary, 16); AT (EvoOp, params, 24); AT (EvoOp, params_size, 32);

SIZE (EvoTensor, 120);
AT (EvoTensor, name, 0); AT (EvoTensor, layer, 8); AT (EvoTensor, n_dims, 12); AT (EvoTensor, dims, 16); AT (EvoTensor, n_rows, 80);
AT (EvoTensor, n_cols, 88); AT (EvoTensor, n, 96); AT (EvoTensor, model_first, 104); AT (EvoTensor, model_n, 112);

SIZE (EvoMergeCall, 136);
AT (EvoMergeCall, size, 0); AT (EvoMergeCall, k, 8); AT (EvoMergeCall, t, 16); AT (EvoMergeCall, params, 24);
AT (EvoMergeCall, in_params, 32); AT (EvoMergeCall, in_seed, 40); AT (EvoMergeCall, n_in, 48); AT (EvoMergeCall, base, 56);
AT (EvoMergeCall, in, 64); AT (EvoMergeCall, aux, 72); AT (EvoMergeCall, coef, 80); AT (EvoMergeCall, cut, 88);
AT (EvoMergeCall, last_tie, 96); AT (EvoMergeCall, out, 104); AT (EvoMergeCall, scratch, 112); AT (EvoMergeCall, first, 120);
AT (EvoMergeCall, n, 128);

SIZE (EvoMergeOp, 224);
AT (EvoMergeOp, size, 0); AT (EvoMergeOp, name, 8); AT (EvoMergeOp, summary, 16); AT (EvoMergeOp, params, 24);
AT (EvoMergeOp, params_size, 32); AT (EvoMergeOp, in_params, 40); AT (EvoMergeOp, in_params_size, 48); AT (EvoMergeOp, min_inputs, 56);
AT (EvoMergeOp, max_inputs, 60); AT (EvoMergeOp, n_passes, 64); AT (EvoMergeOp, access, 68); AT (EvoMergeOp, scope, 72);
AT (EvoMergeOp, flags, 76); AT (EvoMergeOp, n_cuts_per_input, 80); AT (EvoMergeOp, n_cuts_fixed, 84); AT (EvoMergeOp, scope_of, 88);
AT (EvoMergeOp, n_sums, 96); AT (EvoMergeOp, measure, 104); AT (EvoMergeOp, keys, 112); AT (EvoMergeOp, rank, 120);
AT (EvoMergeOp, solve, 128); AT (EvoMergeOp, n_coef, 136); AT (EvoMergeOp, scratch_bytes, 144); AT (EvoMergeOp, merge, 152);
AT (EvoMergeOp, pick, 160); AT (EvoMergeOp, aux_shape, 168); AT (EvoMergeOp, host, 176); AT (EvoMergeOp, formula, 184);
AT (EvoMergeOp, source, 192); AT (EvoMergeOp, n_figures, 180); AT (EvoMergeOp, n_values, 200); AT (EvoMergeOp, values, 208);
AT (EvoMergeOp, pool, 216);

SIZE (EvoDim, 48);
AT (EvoDim, name, 0); AT (EvoDim, kind, 8); AT (EvoDim, n_choices, 12); AT (EvoDim, low, 16); AT (EvoDim, high, 24);
AT (EvoDim, start, 32); AT (EvoDim, sigma, 40);

SIZE (EvoOutcome, 40);
AT (EvoOutcome, trial, 0); AT (EvoOutcome, failed, 8); AT (EvoOutcome, loss, 16); AT (EvoOutcome, items, 24);
AT (EvoOutcome, n_items, 32);

SIZE (EvoOptimizerOp, 80);
AT (EvoOptimizerOp, size, 0); AT (EvoOptimizerOp, name, 8); AT (EvoOptimizerOp, summary, 16); AT (EvoOptimizerOp, params, 24);
AT (EvoOptimizerOp, params_size, 32); AT (EvoOptimizerOp, max_objectives, 40); AT (EvoOptimizerOp, flags, 44);
AT (EvoOptimizerOp, open, 48); AT (EvoOptimizerOp, ask, 56); AT (EvoOptimizerOp, tell, 64); AT (EvoOptimizerOp, close, 72);

SIZE (EvoText, 16);
AT (EvoText, bytes, 0); AT (EvoText, n, 8);

SIZE (EvoRows, 88);
AT (EvoRows, size, 0); AT (EvoRows, file, 8); AT (EvoRows, n_rows, 16); AT (EvoRows, n_fields, 24); AT (EvoRows, fields, 32);
AT (EvoRows, cells, 40); AT (EvoRows, lines, 48); AT (EvoRows, language, 56); AT (EvoRows, fill, 64); AT (EvoRows, template_text, 72);
AT (EvoRows, host, 80);

SIZE (EvoRequest, 128);
AT (EvoRequest, kind, 0); AT (EvoRequest, prompt, 8); AT (EvoRequest, max_tokens, 24); AT (EvoRequest, beams, 32);
AT (EvoRequest, top_k, 40); AT (EvoRequest, temperature, 48); AT (EvoRequest, top_p, 56); AT (EvoRequest, repetition_penalty, 64);
AT (EvoRequest, length_penalty, 72); AT (EvoRequest, seed, 80); AT (EvoRequest, stop, 88); AT (EvoRequest, n_stop, 96);
AT (EvoRequest, choices, 104); AT (EvoRequest, n_choices, 112); AT (EvoRequest, context, 120);

SIZE (EvoAnswer, 40);
AT (EvoAnswer, text, 0); AT (EvoAnswer, log_likelihood, 16); AT (EvoAnswer, n_tokens, 24); AT (EvoAnswer, is_greedy, 32);

SIZE (EvoEvaluatorOp, 112);
AT (EvoEvaluatorOp, size, 0); AT (EvoEvaluatorOp, name, 8); AT (EvoEvaluatorOp, summary, 16); AT (EvoEvaluatorOp, params, 24);
AT (EvoEvaluatorOp, params_size, 32); AT (EvoEvaluatorOp, n_values, 40); AT (EvoEvaluatorOp, flags, 44); AT (EvoEvaluatorOp, open, 48);
AT (EvoEvaluatorOp, n_items, 56); AT (EvoEvaluatorOp, request, 64); AT (EvoEvaluatorOp, judge, 72); AT (EvoEvaluatorOp, reduce, 80);
AT (EvoEvaluatorOp, extra_names, 88); AT (EvoEvaluatorOp, reduce_extra, 96); AT (EvoEvaluatorOp, close, 104);

SIZE (EvoRole, 56);
AT (EvoRole, kind, 0); AT (EvoRole, layer, 4); AT (EvoRole, slot, 8); AT (EvoRole, module, 32);

SIZE (EvoDecoderSpec, 272);
AT (EvoDecoderSpec, size, 0); AT (EvoDecoderSpec, n_layers, 8); AT (EvoDecoderSpec, hidden, 16); AT (EvoDecoderSpec, intermediate, 24);
AT (EvoDecoderSpec, n_heads, 32); AT (EvoDecoderSpec, n_kv_heads, 40); AT (EvoDecoderSpec, head_dim, 48); AT (EvoDecoderSpec, vocab, 56);
AT (EvoDecoderSpec, max_positions, 64); AT (EvoDecoderSpec, sliding_window, 72); AT (EvoDecoderSpec, norm_eps, 80);
AT (EvoDecoderSpec, rope_theta, 88); AT (EvoDecoderSpec, tied, 96); AT (EvoDecoderSpec, attention_bias, 100);
AT (EvoDecoderSpec, mlp_bias, 104); AT (EvoDecoderSpec, rope_scaling, 108); AT (EvoDecoderSpec, rope_factor, 112);
AT (EvoDecoderSpec, rope_low_freq, 120); AT (EvoDecoderSpec, rope_high_freq, 128); AT (EvoDecoderSpec, rope_original, 136);
AT (EvoDecoderSpec, rope_beta_fast, 144); AT (EvoDecoderSpec, rope_beta_slow, 152); AT (EvoDecoderSpec, rope_attention_factor, 160);
AT (EvoDecoderSpec, rope_mscale, 168); AT (EvoDecoderSpec, rope_mscale_all_dim, 176); AT (EvoDecoderSpec, rope_truncate, 184);
AT (EvoDecoderSpec, bos, 192); AT (EvoDecoderSpec, eos, 200); AT (EvoDecoderSpec, n_eos, 264);

SIZE (EvoCheckpoint, 80);
AT (EvoCheckpoint, size, 0); AT (EvoCheckpoint, self, 8); AT (EvoCheckpoint, n_tensors, 16); AT (EvoCheckpoint, tensor, 24);
AT (EvoCheckpoint, has_file, 32); AT (EvoCheckpoint, config_string, 40); AT (EvoCheckpoint, config_number, 48);
AT (EvoCheckpoint, config_list, 56); AT (EvoCheckpoint, has_card, 64); AT (EvoCheckpoint, card_role, 72);

SIZE (EvoModelOp, 80);
AT (EvoModelOp, size, 0); AT (EvoModelOp, name, 8); AT (EvoModelOp, summary, 16); AT (EvoModelOp, params, 24);
AT (EvoModelOp, params_size, 32); AT (EvoModelOp, claim, 40); AT (EvoModelOp, role, 48); AT (EvoModelOp, n_layers, 56);
AT (EvoModelOp, decoder, 64); AT (EvoModelOp, copied_files, 72);

#undef SIZE
#undef AT
