"""The model browser, and the page of one model."""

from __future__ import annotations

from tui.actions.kinds import Action, Moment, Where

HERE, CATALOGUE, HUB, SERVERS = Moment.BROWSER, Moment.CATALOGUE, Moment.HUB, Moment.SERVERS
ALL = (HERE, CATALOGUE, HUB)
SERVED = (SERVERS, Moment.SERVED)


def _key(
    name: str, label: str, help_: str, *keys: str, hint: str = "", at: tuple[Moment, ...] = ()
) -> Action:
    """An action of the list; `at`: the sections in which the key hints show it."""
    return Action(name, label, help_, "Models", Where.BROWSER, keys, hint=hint, moments=at, palette=False)


def _page(name: str, label: str, help_: str, *keys: str, hint: str = "") -> Action:
    """An action of one model's page."""
    moments = (Moment.MODEL_PAGE,) if hint else ()
    return Action(
        name, label, help_, "Models", Where.MODEL_PAGE, keys, hint=hint, moments=moments, palette=False
    )


ACTIONS: tuple[Action, ...] = (
    _key("model_use", "Chat with it", "Chats with the model under the cursor: loads it, or downloads it "
         "first after one question.", "enter", hint="chat", at=(*ALL, Moment.SERVED)),
    _key("model_load", "Load", "Loads the model and stays here.", "l", hint="load", at=(HERE,)),
    _key("model_unload", "Unload", "Frees the model's memory, or cancels its load.", "u", hint="unload",
         at=(HERE,)),
    _key("model_download", "Download", "Fetches the model from the hub, or stops its download; what came is "
         "kept and used when it goes on.", "d", hint="download", at=(CATALOGUE, HUB)),
    _key("server_check", "Ask the server again", "Asks the server under the cursor whether it answers, and "
         "what it has.", "t", hint="ask again", at=SERVED),
    _key("server_edit", "Change the server", "Changes the address, the name or the key of the server under "
         "the cursor; one that was found by itself is kept under a name.", "e", hint="change server",
         at=SERVED),
    _key("model_delete", "Delete", "Deletes a hub model from this machine, after a question; takes a server "
         "off the list, which z undoes.", "x", hint="delete", at=(HERE, SERVERS)),
    _key("server_add", "Add a server", "Names a server that answers in place of this machine.", "n",
         hint="new server", at=SERVED),
    _key("server_undo", "Server back", "Brings back the server that was taken off the list last.", "z"),
    _key("model_narrow", "Narrow by use", "Lists the catalogue's models for chat, maths, code, vision, or "
         "small devices.", "c", hint="use", at=(CATALOGUE,)),
    _key("model_hub", "Search the hub", "Asks the hub for models; nothing is asked before that.", "h",
         hint="search", at=(HUB,)),
    _key("model_quant", "Quantise", "Packs the weights at the next load: none, int8, int4, nf4. What it "
         "takes and its speed change at once.", "q", hint="quant", at=ALL),
    _key("model_filter", "Filter", "Narrows the list by a name, family, use, licence, language, `open data`, "
         "`thinking`, `fits`. Esc takes the filter away.", "slash", hint="filter", at=(*ALL, *SERVED)),
    _key("model_section", "Next section", "Goes to the next section: here, catalogue, hub.", "tab",
         hint="section", at=(*ALL, *SERVED)),
    _key("model_open", "Details", "Everything known of the model, and its card on the hub.", "space",
         hint="details", at=(*ALL, Moment.SERVED)),
    _key("model_folder", "Add a folder", "Asks for a folder that holds models; it is searched now and at "
         "later starts.", "a", hint="folder", at=(HERE,)),
    _key("model_more_context", "Longer context", "Plans for twice the context.", "plus", "equals_sign",
         hint="context", at=(CATALOGUE, HUB)),
    _key("model_less_context", "Shorter context", "Plans for half the context.", "minus"),
    _key("model_keep_free", "Keep free", "Asks how much memory loads leave to other programs.", "f"),
    _key("model_section_back", "Section before", "Goes to the section before.", "shift+tab"),
    _key("model_sort", "Sort", "Sorts what is here by name, size or speed.", "s"),
    _key("model_turn", "Turn the order", "Sorts the other way round.", "S"),
    _key("model_up", "Model above", "Goes to the model above.", "up", "k"),
    _key("model_down", "Model below", "Goes to the model below.", "down", "j"),
    _key("model_first", "First model", "Goes to the first model.", "g", "home"),
    _key("model_last", "Last line", "Goes to the last line.", "G", "end"),
    _key("model_page_up", "Page up", "Goes up by a page.", "pageup"),
    _key("model_page_down", "Page down", "Goes down by a page.", "pagedown"),
    _key("model_help", "Help", "Shows every key and command.", "question_mark"),
    _page("card_use", "Chat with it", "Chats with this model: loads it, or downloads it first after one "
          "question.", "enter", hint="chat"),
    _page("card_read", "Card", "Reads the model's card and the list of its files from the hub.", "c",
          hint="card"),
    _page("card_quant", "Quantise", "Packs the weights at the next load: none, int8, int4, nf4.", "q",
          hint="quant"),
    _page("card_more_context", "Longer context", "Plans for twice the context.", "plus", "equals_sign",
          hint="context"),
    _page("card_less_context", "Shorter context", "Plans for half the context.", "minus"),
    _page("card_download", "Download", "Fetches the model from the hub, or stops its download.", "d",
          hint="download"),
    _page("card_up", "Up", "Scrolls up.", "up", "k"),
    _page("card_down", "Down", "Scrolls down.", "down", "j"),
    _page("card_close", "Back to the list", "Goes back to the list.", "space"),
)  # fmt: skip
