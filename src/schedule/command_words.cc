#include "schedule/command_words.hh"

#include <fmt/format.h>

#include "base/error.hh"

namespace seawall::schedule {
namespace {

constexpr std::string_view blanks = " \t\r\n";

class Words {
 public:
  explicit Words(std::string_view text) : text_(text) {}

  std::vector<std::string> all() {
    std::vector<std::string> words;
    while ((at_ = text_.find_first_not_of(blanks, at_)) != std::string_view::npos) {
      const char first = text_[at_];
      if (std::string_view("|><#").find(first) != std::string_view::npos) {
        words.emplace_back(text_.substr(at_));
        break;
      }
      if (std::string_view("'\"`").find(first) != std::string_view::npos) {
        words.push_back(quoted(first));
      } else if (const std::size_t bracket = std::string_view("([{").find(first); bracket != std::string_view::npos) {
        words.push_back(bracketed(first, std::string_view(")]}")[bracket]));
      } else {
        words.push_back(plain());
      }
    }
    return words;
  }

 private:
  Error open_end(char what) const {
    return {Errc::config, fmt::format("command '{}': the {} is never closed", text_, what)};
  }
  /// The character at hand, or the one that a backslash before it stands for.
  char take(bool escapes) {
    if (escapes && text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
    return text_[at_++];
  }
  std::string quoted(char quote) {
    std::string word;
    for (++at_; at_ < text_.size();) {
      if (text_[at_] == quote) {
        ++at_;
        return word;
      }
      word += take(quote != '`');
    }
    throw open_end(quote);
  }
  std::string bracketed(char open, char close) {
    std::string word;
    for (int depth = 0; at_ < text_.size();) {
      const char c = text_[at_];
      if (c == open) ++depth;
      if (c == close) --depth;
      word += take(true);
      if (depth == 0) return word;
    }
    throw open_end(open);
  }
  std::string plain() {
    std::string word;
    while (at_ < text_.size() && blanks.find(text_[at_]) == std::string_view::npos) word += take(true);
    return word;
  }

  const std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<std::string> command_words(std::string_view text) { return Words(text).all(); }

}  // namespace seawall::schedule
