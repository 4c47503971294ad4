"""`apply(state, event)` folds one event into the state and says what must be drawn again. Pure."""

from __future__ import annotations

import msgspec

from engine.api import ErrorInfo, events, specs
from tui.curve import Moment
from tui.dirty import Dirty, What
from tui.memory_points import moment_of
from tui.reduce_runs import apply_run, take_adapters, take_runs
from tui.state import EngineState, Page, Turn

SHORT = "memory_short"
"""Code of a notice that says in words what the samples tell, too (engine.runs.relief)."""

ELSEWHERE = 200
"""Messages kept of chats that are not read here: opening one reads it, and speeds need the newest."""
READ = 8
"""Chats that stay read, those opened last; opening another one takes a request."""


def from_snapshot(state: EngineState, snapshot: specs.Snapshot, now: float = 0.0) -> set[Dirty]:
    """Take over what a fresh link tells. Messages already read stay until their chat is read again."""
    state.link = "open"
    state.trouble = ""
    # A chat that is saved nowhere is in no snapshot, but it is there as long as its engine.
    same = state.info is not None and state.info.id == snapshot.engine.id
    unsaved = {chat.id: chat for chat in state.chats.values() if same and not chat.saved}
    state.info = snapshot.engine
    state.default_model = snapshot.default_model
    state.serving = snapshot.serving
    state.models = {model.id: model for model in snapshot.models}
    state.chats = unsaved | {chat.id: chat for chat in snapshot.chats}
    state.phases.clear()
    state.downloads = {download.id: download for download in snapshot.downloads}
    told = _sample(state, snapshot.monitor) if snapshot.monitor is not None else set()
    dirty = told | {Dirty(What.ENGINE), Dirty(What.MODELS), Dirty(What.CHATS), Dirty(What.MONITOR)}
    for message in snapshot.live:
        state.turns[message.id] = merge(state.turns.get(message.id), message, now)
        dirty.add(Dirty(What.TURN, message.id))
    dirty.update(Dirty(What.GAP, chat) for chat in state.pages)
    return dirty | take_runs(state, snapshot.runs) | take_adapters(state, snapshot.adapters)


def take_page(
    state: EngineState, chat: specs.ChatInfo, messages: tuple[specs.Message, ...], *, more: bool, now: float
) -> set[Dirty]:
    """The newest stretch of a chat, as `ReadChat` answers it."""
    told = state.chats.get(chat.id, chat).head
    state.chats[chat.id] = chat
    for message in messages:
        state.turns[message.id] = merge(state.turns.get(message.id), message, now)
    path = [message.id for message in messages]
    known = state.pages.get(chat.id)
    if known is not None and path and path[-1] in known.path:
        # What was added while the page was on its way stays; what was taken off the path goes.
        added = known.path[known.path.index(path[-1]) + 1 :]
        path += added if told is None or told in added else []
    state.pages[chat.id] = Page(path, more)
    dirty = {Dirty(What.PATH, chat.id), Dirty(What.CHATS)}
    dirty.update(Dirty(What.TURN, message.id) for message in messages)
    return dirty


def take_older(
    state: EngineState, chat: str, messages: tuple[specs.Message, ...], *, more: bool
) -> set[Dirty]:
    """An older stretch, as `ReadChat(before=...)` answers it."""
    page = state.pages.get(chat)
    if page is None:
        return set()
    known = set(page.path)
    older = [message for message in messages if message.id not in known]
    for message in older:
        state.turns[message.id] = merge(state.turns.get(message.id), message, 0.0)
    page.path[:0] = [message.id for message in older]
    page.more = more
    return {Dirty(What.PATH, chat)}


def open_page(state: EngineState, chat: str) -> None:
    """A chat is shown: it is the newest of those that stay read. One with a growing reply always does."""
    page = state.pages.pop(chat, None)
    if page is not None:
        state.pages[chat] = page
    growing = {turn.chat for turn in state.turns.values() if turn.live}
    old = [each for each in state.pages if each != chat and each not in growing]
    for each in old[: max(0, len(state.pages) - READ)]:
        del state.pages[each]
    _forget_elsewhere(state)


def merge(shown: Turn | None, message: specs.Message, now: float) -> Turn:
    """The message as told, but never less text than is on the screen already.

    A page that was asked for may be folded in after the news that came behind it: what is done stays done.
    """
    turn = Turn.of(message, now)
    if shown is not None and turn.live and not shown.live and shown.finish != "interrupted":
        return shown
    if shown is not None and (turn.live or turn.finish == "interrupted"):
        if shown.text.startswith(turn.text):
            turn.text = shown.text
        if shown.thinking.startswith(turn.thinking):
            turn.thinking = shown.thinking
        turn.stats = turn.stats or shown.stats
    return turn


def lose_link(state: EngineState, trouble: str, *, dead: bool) -> set[Dirty]:
    """The engine is out of reach; all that is shown stays. A dead engine's replies are interrupted."""
    state.link = "lost"
    state.trouble = trouble
    dirty = {Dirty(What.ENGINE), Dirty(What.MODELS)}
    if not dead:
        return dirty
    for turn in state.turns.values():
        if turn.live:
            turn.state, turn.finish = "done", "interrupted"
            dirty.add(Dirty(What.TURN, turn.id))
    return dirty


def apply(state: EngineState, body: events.Body, now: float = 0.0) -> set[Dirty]:
    """Fold one event in. `now` is monotonic time in seconds. An unknown event changes nothing."""
    match body:
        case events.TextDelta():
            return _grow(state, body, now)
        case events.ReplyProgress():
            return _progress(state, body, now)
        case events.ReplyMoved():
            return _move(state, body, now)
        case events.ReplyDone():
            return _finish(state, body.message, now)
        case events.MessageAdded():
            return _add(state, body.message, now, shown=body.shown)
        case events.MessageChanged():
            return _change(state, body.message, now)
        case events.ModelLoading():
            return _load(state, body)
        case events.ModelChanged():
            return _model(state, body)
        case events.ModelGone():
            state.models.pop(body.model, None)
            return {Dirty(What.MODELS)}
        case events.ChatChanged():
            return _chat(state, body.chat)
        case events.ChatGone():
            state.chats.pop(body.chat, None)
            return {Dirty(What.CHATS), Dirty(What.PATH, body.chat)}
        case events.Sampled():
            return _sample(state, body.sample)
        case events.EngineChanged():
            state.info = body.engine
            return {Dirty(What.ENGINE)}
        case events.ServingChanged():
            state.serving = body.serving
            return {Dirty(What.ENGINE)}
        case events.DownloadChanged() | events.DownloadProgress():
            state.downloads[body.download.id] = body.download
            return {Dirty(What.DOWNLOADS, body.download.id)}
        case events.DownloadGone():
            state.downloads.pop(body.download, None)
            return {Dirty(What.DOWNLOADS, body.download)}
        case events.Notice():
            return set() if body.info.code == SHORT else _note(state, body.info)
    return apply_run(state, body)


def _sample(state: EngineState, sample: specs.MonitorSample) -> set[Dirty]:
    before = state.monitor.strain.level if state.monitor is not None else "calm"
    state.monitor = sample
    if sample.at:
        state.remember_memory(_moment(state, sample))
    changed = before != sample.strain.level
    return {Dirty(What.MONITOR), Dirty(What.STRAIN)} if changed else {Dirty(What.MONITOR)}


def _moment(state: EngineState, sample: specs.MonitorSample) -> Moment:
    """With the step and the speed of what is computed meanwhile, if anything is."""
    run = state.active_run()
    if run is not None and run.state == "running":
        return moment_of(sample, run.tokens_per_s, run.step, run.loss)
    replying = any(turn.live for turn in state.turns.values())
    return moment_of(sample, state.speeds[-1] if replying and state.speeds else 0.0)


def _grow(state: EngineState, delta: events.TextDelta, now: float) -> set[Dirty]:
    turn = state.turns.get(delta.message)
    if turn is None:
        return set()
    have = turn.thinking if delta.part == "thinking" else turn.text
    if delta.offset > len(have):
        return {Dirty(What.GAP, delta.chat)}
    grown = delta.text[len(have) - delta.offset :]
    if not grown:
        return set()
    if delta.part == "thinking":
        turn.thinking = have + grown
    else:
        turn.text = have + grown
    turn.since = turn.since or now
    return {Dirty(What.TURN, turn.id)}


def _progress(state: EngineState, progress: events.ReplyProgress, now: float) -> set[Dirty]:
    if progress.stats.tokens_per_s > 0:
        state.speeds.append(progress.stats.tokens_per_s)
    turn = state.turns.get(progress.message)
    if turn is None:
        return {Dirty(What.SPEED)}
    turn.stats, turn.since = progress.stats, now
    return {Dirty(What.SPEED), Dirty(What.TURN, turn.id)}


def _move(state: EngineState, moved: events.ReplyMoved, now: float) -> set[Dirty]:
    turn = state.turns.get(moved.message)
    if turn is None:
        return set()
    if moved.state == "prefill":
        state.speeds.clear()
    turn.state, turn.since = moved.state, now
    return {Dirty(What.TURN, turn.id), Dirty(What.SPEED)}


def _finish(state: EngineState, message: specs.Message, now: float) -> set[Dirty]:
    dirty = {Dirty(What.TURN, message.id), Dirty(What.SPEED)}
    if message.id in state.turns:
        state.turns[message.id] = Turn.of(message, now)
        return dirty
    return set()


def _add(state: EngineState, message: specs.Message, now: float, *, shown: bool) -> set[Dirty]:
    state.turns[message.id] = merge(state.turns.get(message.id), message, now)
    dirty = {Dirty(What.TURN, message.id), Dirty(What.PATH, message.chat)}
    page = state.pages.get(message.chat)
    if page is None:
        _forget_elsewhere(state)
    if page is None or message.id in page.path or not shown:
        return dirty
    if message.parent is None:
        page.path[:] = [message.id]
    elif message.parent in page.path:
        del page.path[page.path.index(message.parent) + 1 :]
        page.path.append(message.id)
    else:
        dirty.add(Dirty(What.GAP, message.chat))
    for sibling in state.turns.values():
        if sibling.parent == message.parent and sibling.role == message.role and sibling.chat == message.chat:
            sibling.versions = max(sibling.versions, message.versions)
    return dirty


def _forget_elsewhere(state: EngineState) -> None:
    """What other clients' chats said long ago; a reply that is still written stays."""
    old = [turn.id for turn in state.turns.values() if turn.chat not in state.pages and not turn.live]
    for each in old[:-ELSEWHERE]:
        del state.turns[each]


def _change(state: EngineState, message: specs.Message, now: float) -> set[Dirty]:
    if message.id not in state.turns:
        return set()
    state.turns[message.id] = merge(state.turns[message.id], message, now)
    return {Dirty(What.TURN, message.id)}


def _chat(state: EngineState, chat: specs.ChatInfo) -> set[Dirty]:
    """Its row; and where its path ends elsewhere than the one shown, that may have to be read again."""
    if not chat.saved and chat.id not in state.chats:
        return set()  # somebody else's, and saved nowhere
    state.chats[chat.id] = chat
    page = state.pages.get(chat.id)
    if page is None or chat.head is None or (page.path and page.path[-1] == chat.head):
        return {Dirty(What.CHATS)}
    return {Dirty(What.CHATS), Dirty(What.HEAD, chat.id)}


def _load(state: EngineState, loading: events.ModelLoading) -> set[Dirty]:
    model = state.models.get(loading.model)
    if model is None:
        return set()
    state.phases[loading.model] = loading.phase
    state.models[loading.model] = msgspec.structs.replace(model, state="loading", progress=loading.progress)
    return {Dirty(What.MODELS), *_waiting(state)}


def _model(state: EngineState, changed: events.ModelChanged) -> set[Dirty]:
    state.models[changed.model.id] = changed.model
    if changed.model.state != "loading":
        state.phases.pop(changed.model.id, None)
    dirty = {Dirty(What.MODELS), *_waiting(state)}
    if changed.error is not None:
        dirty |= _note(state, changed.error)
    return dirty


def _waiting(state: EngineState) -> set[Dirty]:
    """Replies that show how far their model's load is."""
    return {Dirty(What.TURN, turn.id) for turn in state.turns.values() if turn.state in ("queued", "loading")}


def _note(state: EngineState, info: ErrorInfo) -> set[Dirty]:
    state.notices.append(info)
    return {Dirty(What.NOTICE)}
