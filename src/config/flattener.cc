#include <fmt/format.h>

#include <array>
#include <cctype>

#include "base/error.hh"
#include "base/text.hh"
#include "config/detail/settings_text.hh"

namespace seawall::config::detail {
namespace {

constexpr std::size_t max_depth = 64;
constexpr std::size_t max_total = std::size_t{4} << 20;

std::size_t digits_from(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  return at;
}

bool is_json_number(std::string_view text) {
  std::size_t at = text.starts_with('-') ? 1 : 0;
  const std::size_t whole = digits_from(text, at);
  if (whole == at || (text[at] == '0' && whole > at + 1)) return false;
  at = whole;
  if (at < text.size() && text[at] == '.') {
    const std::size_t end = digits_from(text, at + 1);
    if (end == at + 1) return false;
    at = end;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const std::size_t end = digits_from(text, at);
    if (end == at) return false;
    at = end;
  }
  return at == text.size();
}

/// "true" and "false" for their three YAML spellings, other text as it is.
std::string_view with_plain_boolean(std::string_view text) {
  if (text == "true" || text == "True" || text == "TRUE") return "true";
  if (text == "false" || text == "False" || text == "FALSE") return "false";
  return text;
}

}  // namespace

void Flattener::fail(std::string_view why) const { throw Error(Errc::config, fmt::format("{}: {}", name_, why)); }

void Flattener::append(std::string_view text) {
  total_ += text.size();
  if (total_ > max_total) fail("its values, with repeated parts written out, are longer than 4 MiB");
  value_ += text;
}

void Flattener::before_value() {
  if (frames_.empty()) fail("the file must hold keys with values, not a list or a single value");
  Frame& frame = frames_.back();
  if (frame.bracket == '[') {
    if (!frame.first) append(",");
    frame.first = false;
  }
}

void Flattener::after_value() {
  frames_.back().key_next = true;
  if (frames_.size() == 1) finish_pair();
}

void Flattener::finish_pair() { pairs_.emplace_back(std::move(key_), std::exchange(value_, {})); }

void Flattener::open(char bracket) {
  if (frames_.size() >= max_depth) fail("values are nested too deeply");
  if (frames_.empty()) {
    if (bracket != '{') before_value();
    frames_.push_back({bracket, true, true, 0});
    return;
  }
  before_value();
  frames_.push_back({bracket, true, true, value_.size()});
  append({&bracket, 1});
}

void Flattener::close() {
  const Frame frame = frames_.back();
  frames_.pop_back();
  if (frames_.empty()) return;
  append(frame.bracket == '{' ? "}" : "]");
  closed_at_ = frame.start;
  after_value();
}

std::string_view Flattener::last_closed() const {
  if (frames_.size() == 1) return pairs_.back().second;
  return std::string_view(value_).substr(closed_at_);
}

void Flattener::key(std::string_view text) {
  Frame& frame = frames_.back();
  frame.key_next = false;
  if (frames_.size() == 1) {
    key_ = text;
    return;
  }
  if (!frame.first) append(",");
  frame.first = false;
  append(json_string(text));
  append(":");
}

void Flattener::string(std::string_view text) {
  before_value();
  append(frames_.size() == 1 ? std::string(text) : json_string(text));
  after_value();
}

void Flattener::plain(std::string_view text) {
  const std::string_view word = with_plain_boolean(text);
  if (!is_json_number(word) && word != "true" && word != "false") return string(word);
  raw(word);
}

void Flattener::raw(std::string_view json) {
  before_value();
  append(json);
  after_value();
}

void Flattener::null() {
  if (frames_.size() == 1) {
    frames_.back().key_next = true;
    return;
  }
  raw("null");
}

}  // namespace seawall::config::detail
