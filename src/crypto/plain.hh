#pragma once

#include <string_view>

#include "base/bytes.hh"

namespace seawall::crypto {

/// Errc::config if an object that begins with `head` shows that it was stored without encryption, though `setting` asks
/// for it. Inside the room only.
void refuse_unencrypted(std::string_view name, std::string_view setting, Bytes head);

/// The same, and Errc::config if it shows that it is encrypted in another way than `setting` asks for.
void refuse_plain(std::string_view name, std::string_view setting, Bytes head);

}  // namespace seawall::crypto
