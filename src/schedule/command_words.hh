#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace seawall::schedule {

/// A command taken apart as ofelia does it: no shell, no variables, no patterns. Blanks divide; a quote (' " `) counts
/// only as the first character of a word, and its partner ends the word; a backslash takes the next character as it is,
/// but not within backticks; a word that begins with ( [ { goes to the matching bracket; one that begins with | > < #
/// takes the rest of the line with it. Errc::config if a quote or bracket is not closed.
std::vector<std::string> command_words(std::string_view text);

}  // namespace seawall::schedule
