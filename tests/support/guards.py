"""The traps of training, the line of the engine that guards against each, and the test that sees it go.

tests/faults/test_guards.py takes each line away in a copy of the tree and wants that test to fail.
"""

from __future__ import annotations

from typing import NamedTuple


class Guard(NamedTuple):
    """One line of defence."""

    trap: str
    """Its number in docs/training-traps.md."""
    file: str
    """In the engine."""
    old: str
    """Text that is in the file once."""
    new: str
    """What stands there without the guard."""
    test: str
    """Below tests/, as pytest has it."""


NOT_HERE = {"T24": "no model judges answers in Qwill: votes are people's"}
"""Traps that there is nothing to fall into, with the reason."""
_STUDENT, _RUN = "workers/training/student.py", "workers/training/run.py"
_LABELS, _METHODS = "workers/training/labels.py", "data/methods.py"
_PACKING, _CHECKPOINT = "workers/training/packing.py", "workers/training/checkpoint.py"

GUARDS = (
    Guard(
        "T1",
        _LABELS,
        "        if not tally.examples:\n            raise _nothing(tally, length)\n",
        "",
        "engine/test_labels.py::test_a_run_without_a_labelled_token_is_refused",
    ),
    Guard(
        "T1",
        _LABELS,
        "        if begins is None:\n            return None\n",
        "        begins = start if begins is None else begins\n",
        "engine/test_labels.py::test_a_run_without_a_labelled_token_is_refused",
    ),
    Guard(
        "T2",
        "workers/export/merge.py",
        '"added_tokens.json", "chat_template.jinja", ',
        '"added_tokens.json", ',
        "engine/test_methods.py::test_plain_libraries_compute_the_same_from_the_result",
    ),
    Guard(
        "T3",
        "workers/training/batches.py",
        "    return ids, labels\n",
        "    return ids, labels.masked_fill(ids == 0, IGNORED)\n",
        "engine/test_run_loop.py::test_padding_is_known_by_length_and_a_stop_token_stays_labelled",
    ),
    Guard(
        "T4",
        _LABELS,
        " if stops else [*answer, *sorted(self._stop_ids)[:1]]",
        " if stops else answer",
        "engine/test_labels.py::test_an_end_that_the_template_gives_to_the_next_turn_is_learnt",
    ),
    Guard(
        "T4",
        _LABELS,
        "return bool(learnt) and learnt[-1] in self._stop_ids",
        "return bool(learnt)",
        "engine/test_labels.py::test_an_end_that_the_template_gives_to_the_next_turn_is_learnt",
    ),
    Guard(
        "T5",
        _LABELS,
        "            tally.too_long += 1\n",
        "            tally.examples.append(Example(example.ids[:length], example.labels[:length]))\n",
        "engine/test_labels.py::test_an_answer_that_is_too_long_is_left_out_and_counted",
    ),
    Guard(
        "T6",
        _PACKING,
        "            room.append(max(length, example.tokens))\n",
        "            room.append(length)\n"
        "            example = Example(example.ids[:length], example.labels[:length])\n",
        "engine/test_training_loss.py::test_no_row_is_lost_or_cut_by_packing",
    ),
    Guard(
        "T7",
        _PACKING,
        "    if hybrid or any(getattr(text, name, None) for name in STATEFUL):\n",
        "    if not text:\n",
        "engine/test_training_loss.py::test_packing_is_refused_where_a_state_would_leak",
    ),
    Guard(
        "T7",
        _PACKING,
        "        check_packing(student.network.config)\n",
        "",
        "engine/test_rehearsal.py::test_packing_is_refused_by_the_estimate_of_a_hybrid",
    ),
    Guard(
        "T8",
        "workers/device.py",
        "return torch.bfloat16 if fast_bfloat16(device) else torch.float32",
        "return torch.bfloat16",
        "engine/test_methods.py::test_a_cpu_computes_in_16_bits_only_where_it_has_them",
    ),
    Guard(
        "T8",
        "workers/training/base.py",
        'if spec.dtype == "bfloat16" and not fast_bfloat16(device):',
        "if not spec:",
        "engine/test_methods.py::test_a_cpu_computes_in_16_bits_only_where_it_has_them",
    ),
    Guard(
        "T9",
        _RUN,
        "        self._check_finite(step, loss, norm)\n",
        "",
        "engine/test_run_loop.py::test_numbers_that_are_none_are_shown_and_end_the_run",
    ),
    Guard(
        "T9",
        _RUN,
        "        self._sink.point(StepPoint(step, wrong=wrong, at=time.time(), epoch=self._feed.epochs))\n",
        "",
        "engine/test_run_loop.py::test_numbers_that_are_none_are_shown_and_end_the_run",
    ),
    Guard(
        "T10",
        "runs/checkpoints.py",
        "if whole and hash_of(path) != told.sha256:",
        "if not path:",
        "unit/test_runs_checkpoints.py::test_one_flipped_bit_is_found_wherever_it_is",
    ),
    Guard(
        "T10",
        _CHECKPOINT,
        "        _fill(temp, course, student, optimiser, adapter)\n        _take_place(temp, folder)\n",
        "        os.rename(temp, folder)\n        _fill(folder, course, student, optimiser, adapter)\n",
        "faults/test_runs_disk.py::test_files_that_may_not_grow_hold_the_run_up",
    ),
    Guard(
        "T11",
        _STUDENT,
        "        if state.keys() != weights.keys():\n",
        "        if not state:\n",
        "engine/test_methods.py::test_a_state_that_is_not_this_runs_is_refused",
    ),
    Guard(
        "T11",
        _STUDENT,
        "            if not same and not bool(state[name].isnan().any()):\n",
        "            if not name:\n",
        "engine/test_methods.py::test_a_state_that_did_not_arrive_is_noticed",
    ),
    Guard(
        "T12",
        _METHODS,
        'spec.method in MUTATING and spec.objective in ("dpo", "kto"),',
        "False,",
        "engine/test_methods.py::test_preferences_are_refused_where_the_start_moved_the_base",
    ),
    Guard(
        "T12",
        "workers/training/adapter.py",
        "        tensors, changes = plain_lora(model, dict(starts))\n",
        "        tensors = _tensors(model)\n",
        "engine/test_methods.py::test_plain_libraries_compute_the_same_from_the_result",
    ),
    Guard(
        "T12",
        "workers/training/adapter.py",
        "base.weight = nn.Parameter(residual(base.weight, start), requires_grad=False)",
        "base.weight.data = residual(base.weight, start)",
        "engine/test_methods.py::test_each_method_learns_and_leaves_the_chats_weights_alone",
    ),
    Guard(
        "T13",
        "workers/export/merged_weights.py",
        "            return self._pairs[name].merged(tensor, turned=self._adapter.turned)\n",
        "            step = tensor.float().abs().amax() / 7\n"
        "            merged = self._pairs[name].merged(tensor, turned=self._adapter.turned)\n"
        "            return (merged / step).round() * step\n",
        "engine/test_methods_packed.py::test_a_weak_tune_on_4_bits_is_merged_in_16",
    ),
    Guard(
        "T13",
        "workers/export/compare.py",
        "ok = places > 0 and furthest <= tolerance and agreement >= AGREED",
        "ok = places > 0",
        "engine/test_adapter_export.py::test_wrong_weights_fail_the_check_and_the_card_says_so",
    ),
    Guard(
        "T14",
        "workers/training/initialise.py",
        "            vector.weight = nn.Parameter(lengths.to(vector.weight.device))\n",
        "            vector.weight = nn.Parameter(lengths.to(base.weight.device, torch.bfloat16))\n",
        "engine/test_methods_packed.py::test_qdoras_lengths_move_on_4_bits",
    ),
    Guard(
        "T15",
        _RUN,
        "in_order(self._held, self._spec.batch):",
        "in_order(self._held, 8 * self._spec.batch):",
        "engine/test_rehearsal.py::test_the_longest_rows_of_an_evaluation_are_rehearsed_too",
    ),
    Guard(
        "T15",
        "workers/training/rehearsal.py",
        "            self._tested(lesson, longest)\n",
        "",
        "engine/test_rehearsal.py::test_the_longest_rows_of_an_evaluation_are_rehearsed_too",
    ),
    Guard(
        "T15",
        "workers/training/estimate.py",
        "    return max(training, evaluation(shape, spec))\n",
        "    return training\n",
        "engine/test_rehearsal.py::test_a_long_evaluation_is_part_of_the_need",
    ),
    Guard(
        "T16",
        "workers/training/rehearsal.py",
        "longest = next(in_order(lesson.train, spec.batch))",
        "longest = lesson.train[: spec.batch]",
        "engine/test_rehearsal.py::test_a_run_rehearses_its_longest_rows_first",
    ),
    Guard(
        "T17",
        "daemon.py",
        "            stdout=descriptor,\n",
        "            stdout=subprocess.PIPE,\n",
        "protocol/test_daemon.py::test_an_engine_hangs_on_no_pipe_and_on_no_terminal",
    ),
    Guard(
        "T18",
        "daemon.py",
        "            start_new_session=True,\n",
        "",
        "protocol/test_daemon.py::test_an_engine_hangs_on_no_pipe_and_on_no_terminal",
    ),
    Guard(
        "T18",
        "daemon.py",
        "    signal.signal(signal.SIGHUP, signal.SIG_IGN)\n",
        "    signal.signal(signal.SIGHUP, signal.SIG_DFL)\n",
        "protocol/test_daemon.py::test_an_engine_hangs_on_no_pipe_and_on_no_terminal",
    ),
    Guard(
        "T18",
        "host.py",
        "    signal.signal(signal.SIGHUP, signal.SIG_IGN)\n",
        "    signal.signal(signal.SIGHUP, signal.SIG_DFL)\n",
        "protocol/test_daemon.py::test_an_engine_hangs_on_no_pipe_and_on_no_terminal",
    ),
    Guard(
        "T18",
        "daemon.py",
        "        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "        file.fileno()\n",
        "protocol/test_daemon.py::test_in_process_takes_the_same_lock",
    ),
    Guard(
        "T19",
        _CHECKPOINT,
        "        restore(optimiser, student.weights(), load_file(folder / OPTIMISER))\n",
        "",
        "engine/test_run_resume.py::test_stopped_and_resumed_is_never_stopped",
    ),
    Guard(
        "T19",
        "workers/training/optimiser.py",
        '"cpu", copy=True)',
        '"cpu", copy=True).to(torch.bfloat16)',
        "engine/test_run_resume.py::test_what_a_checkpoint_holds_is_what_learns_and_stays_so",
    ),
    Guard(
        "T20",
        _METHODS,
        "LARGE_RATE = 2e-4\n",
        "LARGE_RATE = 2e-5\n",
        "engine/test_methods.py::test_what_is_left_out_is_chosen_by_method_and_size",
    ),
    Guard(
        "T20",
        _METHODS,
        "    if not spec.rate or usual / BAND <= spec.rate <= usual * BAND:\n",
        "    if usual:\n",
        "engine/test_methods.py::test_a_rate_outside_the_band_is_told",
    ),
    Guard(
        "T21",
        "workers/training/targets.py",
        "if isinstance(module, nn.Linear) and id(module) in inner and module is not head",
        "if isinstance(module, nn.Linear)",
        "engine/test_methods.py::test_all_linear_leaves_the_head_alone",
    ),
    Guard(
        "T22",
        "workers/adapted.py",
        "        key = (loaded.serial, tuple((info.id, info.version) for info in infos))\n",
        "        key = (loaded.serial, ())\n",
        "engine/test_methods.py::test_adapters_of_any_rank_answer_in_turn_and_are_never_merged",
    ),
    Guard(
        "T23",
        _RUN,
        "            waited += self._gate.wait(self._sink.stopped)\n",
        "",
        "engine/test_run_loop.py::test_a_run_waits_at_its_next_part_while_a_reply_is_generated",
    ),
    Guard(
        "T23",
        "workers/backend.py",
        "first = self._gate.chatting() if shares_processor(model.device) else nullcontext()",
        "first = nullcontext()",
        "engine/test_training.py::test_a_reply_holds_runs_that_share_its_processor",
    ),
    Guard(
        "T23",
        "workers/training/base.py",
        '    if device.type == "cpu" and need > free:\n',
        "    if not need:\n",
        "engine/test_packed_adapters.py::test_a_run_beside_packed_weights_without_room_is_refused",
    ),
    Guard(
        "T25",
        "workers/adapted.py",
        "    base: Any = model.get_base_model()\n",
        "    model.merge_adapter()\n    base: Any = model.get_base_model()\n",
        "engine/test_methods.py::test_adapters_of_any_rank_answer_in_turn_and_are_never_merged",
    ),
)
