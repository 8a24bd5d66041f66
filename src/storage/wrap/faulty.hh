#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "storage/store.hh"

namespace seawall::storage {

/// What a fault plan is asked before every request, and again after one that worked (a lost answer).
struct Request {
  std::string_view operation;  ///< "stat", "open", "read", "put", "begin", "put_part", "complete", "list", "copy",
                               ///< "remove", "settle"
  std::string_view key;
  std::uint64_t ordinal = 0;  ///< counts requests of this store from 1
  bool after = false;         ///< the request has been carried out; a throw now is a lost answer
};

/// For tests: calls `plan` around every request; it may throw the Error that the request then ends with.
std::unique_ptr<Store> with_faults(std::unique_ptr<Store> inner, std::function<void(const Request&)> plan);

}  // namespace seawall::storage
