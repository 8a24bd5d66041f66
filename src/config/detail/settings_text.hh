#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace seawall::config::detail {

/// Keys as spelled in the file, values as text, in the file's order.
using Pairs = std::vector<std::pair<std::string, std::string>>;

/// The three formats. `name` is the file's, for messages. Throw Errc::config with the place, and nothing else;
/// messages never quote the text, which may hold secrets.
Pairs read_json(std::string_view text, std::string_view name);
Pairs read_yaml(std::string_view text, std::string_view name);
Pairs read_toml(std::string_view text, std::string_view name);
bool is_json(std::string_view text);

/// Turns the events of a parsed file into pairs: members of the outermost object become pairs, what lies deeper becomes
/// compact JSON text. Depth and size are bounded, so that a small file of nested aliases stays small.
class Flattener {
 public:
  explicit Flattener(std::string_view name) : name_(name) {}

  void open(char bracket);  ///< '{' or '['
  void close();
  void key(std::string_view text);
  void string(std::string_view text);
  /// A scalar without quotes: number, boolean or word; in nested JSON a word gets quotes.
  void plain(std::string_view text);
  void null();
  /// JSON text as close() made it.
  void raw(std::string_view json);

  bool wants_key() const { return !frames_.empty() && frames_.back().bracket == '{' && frames_.back().key_next; }
  bool inside() const { return !frames_.empty(); }
  /// JSON text of the collection that was closed last, valid until the next event.
  std::string_view last_closed() const;
  Pairs take() { return std::move(pairs_); }

 private:
  struct Frame {
    char bracket;
    bool first;
    bool key_next;
    std::size_t start;  // of its text in value_
  };
  void before_value();
  void after_value();
  void append(std::string_view text);
  void finish_pair();
  [[noreturn]] void fail(std::string_view why) const;

  std::string_view name_;
  std::vector<Frame> frames_;
  std::string key_, value_;
  std::size_t closed_at_ = 0;
  std::size_t total_ = 0;
  Pairs pairs_;
};

}  // namespace seawall::config::detail
