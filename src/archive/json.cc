#include "archive/detail/json.hh"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "archive/detail/json_stream.hh"
#include "archive/detail/utf8.hh"
#include "base/text.hh"

namespace seawall::archive {
namespace {

/// Builds the tree. Its depth is limited by JsonEvents: trees are visited and destroyed recursively.
class Builder final : public JsonEvents {
 public:
  Json take() { return std::move(root_); }

 private:
  bool on_null() override { return place({}) != nullptr; }
  bool on_bool(bool truth) override { return place({.kind = Json::Kind::boolean, .truth = truth}) != nullptr; }
  bool on_number(std::string_view text) override {
    return place({.kind = Json::Kind::number, .text = std::string(text)}) != nullptr;
  }
  bool on_text(std::string_view text) override {
    return place({.kind = Json::Kind::text, .text = replace_invalid_utf8(text)}) != nullptr;
  }
  bool on_key(std::string_view key) override {
    open_.back()->members.push_back({replace_invalid_utf8(key), {}});
    return true;
  }
  bool on_begin(bool is_object) override {
    open_.push_back(place({.kind = is_object ? Json::Kind::object : Json::Kind::array}));
    return true;
  }
  bool on_end() override {
    open_.pop_back();
    return true;
  }

  Json* place(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    // A parent grows only after its last child is complete, so the pointers in open_ stay valid.
    Json& parent = *open_.back();
    Json& slot = parent.kind == Json::Kind::array ? parent.items.emplace_back() : parent.members.back().value;
    slot = std::move(value);
    return &slot;
  }

  Json root_;
  std::vector<Json*> open_;
};

/// Go's spelling of a float64 in JSON: shortest digits that read back the same, exponents only beyond 1e-6 and 1e21.
std::string print_double(double value) {
  if (value == 0) return std::signbit(value) ? "-0" : "0";
  char buffer[64];
  const auto printed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<std::size_t>(printed.ptr - buffer));
  const std::size_t e = text.find('e');
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') digits.push_back(c);
  }
  const std::string sign = value < 0 ? "-" : "";
  const std::string_view exponent_text = text.substr(e + 1);
  const int exponent = parse_int<int>(exponent_text.substr(exponent_text[0] == '+' ? 1 : 0)).value_or(0);
  if (exponent < -6 || exponent >= 21) {
    const std::string fraction = digits.size() > 1 ? "." + digits.substr(1) : "";
    return fmt::format("{}{}{}e{}{}", sign, digits[0], fraction, exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const std::size_t whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0');
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

/// Of a number that no double can hold: whether that is because it is too large.
bool is_beyond_one(std::string_view number) {
  if (number.starts_with('-')) number.remove_prefix(1);
  const std::size_t e = number.find_first_of("eE");
  const std::string_view mantissa = number.substr(0, e);
  std::string_view exponent_text = e == std::string_view::npos ? "0" : number.substr(e + 1);
  if (exponent_text.starts_with('+')) exponent_text.remove_prefix(1);
  const auto exponent = parse_int<std::int64_t>(exponent_text);
  if (!exponent) return !exponent_text.starts_with('-');
  const auto point = static_cast<std::int64_t>(std::min(mantissa.find('.'), mantissa.size()));
  const auto leading = static_cast<std::int64_t>(mantissa.find_first_of("123456789"));
  return *exponent > leading - point;
}

class Printer {
 public:
  Printer(Errc code, std::string_view origin) : code_(code), origin_(origin) {}

  void print(const Json& value) {
    switch (value.kind) {
      case Json::Kind::null:
        text += "null";
        return;
      case Json::Kind::boolean:
        text += value.truth ? "true" : "false";
        return;
      case Json::Kind::number:
        text += number(value.text);
        return;
      case Json::Kind::text:
        text += json_string(value.text, true);
        return;
      case Json::Kind::array:
        return array(value);
      case Json::Kind::object:
        return object(value);
    }
  }

  std::string text;

 private:
  std::string number(const std::string& spelling) const {
    double value = 0;
    const auto read = std::from_chars(spelling.data(), spelling.data() + spelling.size(), value);
    if (read.ec == std::errc::result_out_of_range) {
      // Too small is zero, too large is an error, as for Go's decoder.
      if (is_beyond_one(spelling)) throw Error(code_, fmt::format("{}: the number {} is too large", origin_, spelling));
      return spelling[0] == '-' ? "-0" : "0";
    }
    return print_double(value);
  }

  void array(const Json& value) {
    text += '[';
    for (std::size_t i = 0; i < value.items.size(); ++i) {
      if (i != 0) text += ',';
      print(value.items[i]);
    }
    text += ']';
  }

  void object(const Json& value) {
    std::vector<const JsonMember*> sorted;
    sorted.reserve(value.members.size());
    for (const JsonMember& member : value.members) sorted.push_back(&member);
    std::stable_sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->name < b->name; });
    text += '{';
    bool first = true;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      if (i + 1 < sorted.size() && sorted[i + 1]->name == sorted[i]->name) continue;
      if (!first) text += ',';
      first = false;
      text += json_string(sorted[i]->name, true);
      text += ':';
      print(sorted[i]->value);
    }
    text += '}';
  }

  Errc code_;
  std::string_view origin_;
};

}  // namespace

Json parse_json(std::string_view text, Errc code, std::string_view origin) {
  MemorySource source(bytes_of(text));
  Builder builder;
  parse_json_stream(source, builder, origin, code);
  return builder.take();
}

std::string print_canonical_json(const Json& value, Errc code, std::string_view origin) {
  Printer printer(code, origin);
  printer.print(value);
  return std::move(printer.text);
}

}  // namespace seawall::archive
