#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/io.hh"
#include "storage/http/http.hh"
#include "storage/request.hh"

namespace seawall::storage::s3 {

/// The bytes of `extent` as they arrive. Errc::network when they break off, Errc::corrupt when they are not those that
/// were asked for, or have another checksum than the server has for the whole object. `partial`: a range was asked for.
std::unique_ptr<Source> make_object_source(std::unique_ptr<http::Download> download, Extent extent, bool partial,
                                           std::string label, std::stop_token stop);

}  // namespace seawall::storage::s3
