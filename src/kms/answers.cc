#include "kms/answers.hh"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "crypto/key_text.hh"
#include "storage/s3/token_services.hh"

namespace seawall::kms {
namespace {

using Json = nlohmann::json;

Json parsed(std::string_view text) { return Json::parse(text.begin(), text.end(), nullptr, false); }

crypto::SecretBytes bytes_member(Json& object, std::string_view member, std::string_view what) {
  const auto found = object.is_object() ? object.find(member) : object.end();
  if (found == object.end() || !found->is_string()) {
    throw Error(Errc::corrupt, fmt::format("{}: the answer has no {}", what, member));
  }
  std::string& text = found->get_ref<std::string&>();
  auto bytes = crypto::decode_base64(bytes_of(text));
  crypto::wipe(std::as_writable_bytes(std::span(text)));
  if (!bytes || bytes->empty()) {
    throw Error(Errc::corrupt, fmt::format("{}: {} in the answer is no base64", what, member));
  }
  return std::move(*bytes);
}

}  // namespace

crypto::SecretBytes take_bytes(std::string& text, std::string_view member, std::string_view what) {
  Json object = parsed(text);
  crypto::wipe(std::as_writable_bytes(std::span(text)));
  return bytes_member(object, member, what);
}

TwoKeys take_two(std::string& text, std::string_view first, std::string_view second, std::string_view what) {
  Json object = parsed(text);
  crypto::wipe(std::as_writable_bytes(std::span(text)));
  TwoKeys keys;
  keys.first = bytes_member(object, first, what);
  keys.second = bytes_member(object, second, what);
  return keys;
}

std::optional<std::string> text_member(std::string_view text, std::string_view member) {
  const Json object = parsed(text);
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(member);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<double> number_member(std::string_view text, std::string_view member) {
  const Json object = parsed(text);
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(member);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::string aws_error(std::string_view text) {
  std::string name = text_member(text, "__type").value_or("");
  if (const auto hash = name.rfind('#'); hash != std::string::npos) name.erase(0, hash + 1);
  return name;
}

std::optional<std::string> yandex_address(std::string_view text, std::string_view id) {
  const Json object = parsed(text);
  if (!object.is_object()) return std::nullopt;
  const auto list = object.find("endpoints");
  if (list == object.end() || !list->is_array()) return std::nullopt;
  for (const Json& each : *list) {
    if (!each.is_object() || each.value("id", Json()) != Json(id)) continue;
    const Json address = each.value("address", Json());
    if (address.is_string() && !address.get_ref<const std::string&>().empty()) return address.get<std::string>();
  }
  return std::nullopt;
}

Error refusal(Errc code, std::string_view what, const storage::http::Answer& answer, std::string_view name,
              std::string_view message, std::string_view advice, const std::vector<std::string_view>& secrets) {
  // What servers say is cleaned in one place, whatever that makes of the code.
  const storage::http::Answer plain{.status = answer.status, .headers = answer.headers};
  const Error cleaned = storage::s3::refused(what, plain, {std::string(name), std::string(message)}, secrets);
  Error error(code, fmt::format("{}{}{}", cleaned.what(), advice.empty() ? "" : "; ", advice));
  if (const auto delay = cleaned.retry_after()) error.retry_after(*delay);
  return error;
}

}  // namespace seawall::kms
