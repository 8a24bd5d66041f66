#include "postgres/libpq.hh"

#include <dlfcn.h>
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/text.hh"

namespace seawall::postgres {
namespace {

constexpr int poll_milliseconds = 100;
/// How many silent polls a cancelled statement may take to end before the connection is given up.
constexpr int polls_after_cancel = 50;

template <class F>
void resolve(void* library, const char* name, F& function) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr) {
    throw Error(Errc::not_found, fmt::format("libpq.so.5 has no function {}: PostgreSQL 10 or newer's client library "
                                             "is needed (Debian: apt install libpq5)",
                                             name));
  }
  function = reinterpret_cast<F>(symbol);
}

/// libpq calls it from C, so nothing may be thrown through it.
void log_notice(void* log, const char* message) noexcept { static_cast<Log*>(log)->debug("server: {}", trim(message)); }

/// "LOCATION:  auth_failed, auth.c:329", in whatever language: where in the server's source an error was raised.
bool is_source_location(std::string_view line) {
  const std::size_t name = line.find(":  ");
  const std::size_t number = line.rfind(".c:");
  return name != std::string_view::npos && number != std::string_view::npos && name < number &&
         parse_int<int>(line.substr(number + 3)).has_value();
}

/// A failed connection tells its SQLSTATE only in the text, and only a verbose one: "FATAL:  28P01: password …".
/// Takes it out of `message`, together with what else verbose messages add. Empty if libpq itself failed.
std::string take_sqlstate(std::string& message) {
  constexpr std::size_t state_length = 5;
  const auto is_state = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); };
  std::string found;
  std::string kept;
  for (std::string_view line : split(message, '\n')) {
    if (is_source_location(line)) continue;
    if (!kept.empty()) kept += '\n';
    const std::size_t severity_end = line.find(":  ");
    const auto rest = severity_end == std::string_view::npos ? std::string_view{} : line.substr(severity_end + 3);
    if (rest.size() > state_length && rest[state_length] == ':' &&
        std::all_of(rest.begin(), rest.begin() + state_length, is_state)) {
      found = rest.substr(0, state_length);
      kept += line.substr(0, severity_end);
      line = rest.substr(state_length);
    }
    kept += line;
  }
  message = std::move(kept);
  return found;
}

/// What to try when the server lets nobody in who asks for replication.
std::string replication_advice(std::string_view sqlstate, const std::string& user) {
  if (sqlstate == "42501") return fmt::format("; a superuser can allow it by: ALTER ROLE \"{}\" REPLICATION", user);
  if (sqlstate == "28000") {
    return fmt::format(
        "; pg_hba.conf needs a line of type host or local whose database is 'replication' and whose user is \"{}\" "
        "('all' does not include replication), then: SELECT pg_reload_conf()",
        user);
  }
  if (sqlstate == "53300") {
    return "; a base backup over the replication protocol takes one of max_wal_senders: raise it and restart the "
           "server";
  }
  return {};
}

Errc code_of(std::string_view sqlstate) {
  if (sqlstate == "42501" || sqlstate.starts_with("28")) return Errc::denied;
  // 57P01 to 57P03: the server is shutting down, crashed, or not yet up.
  if (sqlstate.starts_with("08") || sqlstate.starts_with("57P0")) return Errc::network;
  if (sqlstate == "57014") return Errc::timeout;
  return Errc::db;
}

}  // namespace

Libpq load_libpq() {
  void* library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    throw Error(Errc::not_found, fmt::format("PostgreSQL's client library cannot be loaded: {}; install it "
                                             "(Debian: apt install libpq5)",
                                             dlerror()));
  }
  Libpq pq{};
  resolve(library, "PQcancel", pq.cancel);
  resolve(library, "PQclear", pq.clear);
  resolve(library, "PQconninfo", pq.conninfo);
  resolve(library, "PQconninfoFree", pq.conninfo_free);
  resolve(library, "PQconnectPoll", pq.connect_poll);
  resolve(library, "PQconnectStartParams", pq.connect_start_params);
  resolve(library, "PQconnectionNeedsPassword", pq.connection_needs_password);
  resolve(library, "PQconsumeInput", pq.consume_input);
  resolve(library, "PQerrorMessage", pq.error_message);
  resolve(library, "PQfinish", pq.finish);
  resolve(library, "PQfreeCancel", pq.free_cancel);
  resolve(library, "PQfreemem", pq.free_memory);
  resolve(library, "PQgetCancel", pq.get_cancel);
  resolve(library, "PQgetCopyData", pq.get_copy_data);
  resolve(library, "PQgetResult", pq.get_result);
  resolve(library, "PQgetisnull", pq.get_is_null);
  resolve(library, "PQgetlength", pq.get_length);
  resolve(library, "PQgetvalue", pq.get_value);
  resolve(library, "PQhost", pq.host);
  resolve(library, "PQisBusy", pq.is_busy);
  resolve(library, "PQntuples", pq.row_count);
  resolve(library, "PQport", pq.port);
  resolve(library, "PQresultErrorField", pq.result_error_field);
  resolve(library, "PQresultErrorMessage", pq.result_error_message);
  resolve(library, "PQresultStatus", pq.result_status);
  resolve(library, "PQsendQuery", pq.send_query);
  resolve(library, "PQsendQueryParams", pq.send_query_params);
  resolve(library, "PQserverVersion", pq.server_version);
  resolve(library, "PQsetErrorVerbosity", pq.set_error_verbosity);
  resolve(library, "PQsetNoticeProcessor", pq.set_notice_processor);
  resolve(library, "PQsetSingleRowMode", pq.set_single_row_mode);
  resolve(library, "PQsocket", pq.socket);
  resolve(library, "PQstatus", pq.status);
  resolve(library, "PQuser", pq.user);
  dlclose(library);  // RTLD_NODELETE keeps it
  return pq;
}

std::optional<std::string_view> Row::value(int column) const {
  if (pq_.get_is_null(result_, row_, column) != 0) return std::nullopt;
  return std::string_view(pq_.get_value(result_, row_, column),
                          static_cast<std::size_t>(pq_.get_length(result_, row_, column)));
}

std::int64_t Row::integer(int column) const {
  const auto shown = value(column);
  const auto number = shown ? parse_int<std::int64_t>(*shown) : std::nullopt;
  if (!number) {
    throw Error(Errc::db, fmt::format("the server answered {} where a number belongs, column {}",
                                      shown ? json_string(*shown) : std::string("NULL"), column + 1));
  }
  return *number;
}

Connection::Connection(const Target& target, const Run& run)
    : pq_(load_libpq()),
      run_(run),
      replication_(target.replication),
      connection_(nullptr, pq_.finish),
      cancel_(nullptr, pq_.free_cancel) {
  run_.check();
  open(target);
  finish_connecting();
  version_ = pq_.server_version(connection_.get());
  cancel_.reset(pq_.get_cancel(connection_.get()));
}

Connection::~Connection() = default;

std::string Connection::user() const {
  const char* name = pq_.user(connection_.get());
  return name == nullptr ? std::string() : name;
}

std::string Connection::host() const {
  const char* name = pq_.host(connection_.get());
  return name == nullptr ? std::string() : name;
}

std::string Connection::port() const {
  const char* number = pq_.port(connection_.get());
  return number == nullptr ? std::string() : number;
}

void Connection::open(const Target& target) {
  // A parameter without a value is taken from the environment, the service file, or libpq's default.
  const auto given = [](const std::string& text) { return text.empty() ? nullptr : text.c_str(); };
  const std::array<const char*, 7> keywords = {"dbname",          "host",        "port", "fallback_application_name",
                                               "client_encoding", "replication", nullptr};
  const std::array<const char*, 7> values = {given(target.database),
                                             given(target.host),
                                             given(target.port),
                                             "wal-g",
                                             "UTF8",
                                             target.replication ? "true" : nullptr,
                                             nullptr};
  connection_.reset(pq_.connect_start_params(keywords.data(), values.data(), 0));
  if (connection_ == nullptr) throw Error(Errc::io, "connecting to PostgreSQL: out of memory");
  pq_.set_error_verbosity(connection_.get(), PQERRORS_VERBOSE);
  pq_.set_notice_processor(connection_.get(), &log_notice, &run_.log);
}

void Connection::finish_connecting() {
  // libpq leaves connect_timeout to the caller of its asynchronous functions.
  std::optional<std::chrono::seconds> limit;
  const std::unique_ptr<PQconninfoOption, decltype(&::PQconninfoFree)> options(pq_.conninfo(connection_.get()),
                                                                               pq_.conninfo_free);
  for (const PQconninfoOption* option = options.get(); option != nullptr && option->keyword != nullptr; ++option) {
    if (std::string_view(option->keyword) != "connect_timeout" || option->val == nullptr) continue;
    const auto seconds = parse_int<int>(trim(option->val));
    if (seconds && *seconds > 0) limit = std::chrono::seconds(std::max(*seconds, 2));  // as PQconnectdb rounds
  }
  const auto start = run_.clock.steady();
  auto polling = pq_.status(connection_.get()) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (polling != PGRES_POLLING_OK) {
    if (polling == PGRES_POLLING_FAILED) throw connection_error();
    run_.check();
    if (limit && run_.clock.steady() - start > *limit) {
      throw Error(Errc::network,
                  fmt::format("{}: no connection within {} s (connect_timeout)", peer(), limit->count()));
    }
    if (wait(polling == PGRES_POLLING_READING ? POLLIN : POLLOUT)) polling = pq_.connect_poll(connection_.get());
  }
}

std::string Connection::peer() const {
  const char* host = pq_.host(connection_.get());
  const char* port = pq_.port(connection_.get());
  return fmt::format("PostgreSQL at {} port {}", host == nullptr || *host == '\0' ? "the default host" : host,
                     port == nullptr || *port == '\0' ? "5432" : port);
}

Error Connection::connection_error() const {
  std::string message = pq_.error_message(connection_.get());
  const std::string sqlstate = take_sqlstate(message);
  message = std::string(trim(message));
  Errc code = sqlstate.empty() ? Errc::network : code_of(sqlstate);
  if (pq_.connection_needs_password(connection_.get()) != 0) {
    code = Errc::denied;
    message += "; set PGPASSWORD, PGPASSFILE or write the password into ~/.pgpass";
  }
  return Error(code, fmt::format("{}: {}{}{}", peer(), message.empty() ? "connection failed" : message,
                                 sqlstate.empty() ? "" : fmt::format(" (SQLSTATE {})", sqlstate),
                                 replication_ ? replication_advice(sqlstate, user()) : ""));
}

/// True once the socket is ready, false after at most 100 ms. The socket may be another after each PQconnectPoll.
bool Connection::wait(short events) {
  pollfd waited{.fd = pq_.socket(connection_.get()), .events = events, .revents = 0};
  const int ready = poll(&waited, 1, poll_milliseconds);
  if (ready < 0 && errno != EINTR) throw system_error(errno, fmt::format("{}: waiting for an answer", peer()));
  return ready > 0;
}

void Connection::cancel_statement() noexcept {
  std::array<char, 256> ignored{};
  if (cancel_) pq_.cancel(cancel_.get(), ignored.data(), static_cast<int>(ignored.size()));
}

Connection::Result Connection::next_result(const Statement& statement) {
  int polls_left = polls_after_cancel;
  bool cancelled = false;
  while (pq_.is_busy(connection_.get()) != 0) {
    if (!cancelled && run_.stop.stop_requested()) {
      cancelled = true;
      cancel_statement();
    }
    if (wait(POLLIN)) {
      if (pq_.consume_input(connection_.get()) == 0) {
        run_.check();
        throw broken(statement);
      }
    } else if (cancelled && --polls_left == 0) {
      // A server that does not answer a cancel request would hold up the drain as well.
      connection_.reset();
      run_.check();
    }
  }
  Result result(pq_.get_result(connection_.get()), pq_.clear);
  if (cancelled) {
    result.reset();
    drain();
    run_.check();
  }
  return result;
}

/// Ends the statement under way, so that the next one can be sent.
void Connection::drain() noexcept {
  int polls_left = polls_after_cancel;
  while (connection_ != nullptr) {
    if (pq_.is_busy(connection_.get()) != 0) {
      pollfd waited{.fd = pq_.socket(connection_.get()), .events = POLLIN, .revents = 0};
      if (poll(&waited, 1, poll_milliseconds) > 0) {
        if (pq_.consume_input(connection_.get()) == 0) return;
      } else if (--polls_left == 0) {
        connection_.reset();
      }
      continue;
    }
    const Result result(pq_.get_result(connection_.get()), pq_.clear);
    if (result == nullptr) return;
  }
}

Error Connection::broken(const Statement& statement) const {
  return Error(Errc::network,
               fmt::format("{}: {}: {}", peer(), statement.activity, trim(pq_.error_message(connection_.get()))));
}

Error Connection::statement_error(const Statement& statement, const PGresult* result) const {
  const char* state = pq_.result_error_field(result, PG_DIAG_SQLSTATE);
  const char* primary = pq_.result_error_field(result, PG_DIAG_MESSAGE_PRIMARY);
  if (state == nullptr || primary == nullptr) return broken(statement);
  std::string message = fmt::format("{}: {}: {} (SQLSTATE {})", peer(), statement.activity, primary, state);
  const Errc code = code_of(state);
  if (code == Errc::denied && !statement.if_denied.empty()) message += fmt::format("; {}", statement.if_denied);
  if (const char* hint = pq_.result_error_field(result, PG_DIAG_MESSAGE_HINT)) message += fmt::format("; {}", hint);
  return Error(code, std::move(message));
}

void Connection::stream(const Statement& statement, const std::function<void(const Row&)>& visit) {
  run_.check();
  if (connection_ == nullptr) {
    throw Error(Errc::network, fmt::format("{}: the connection was given up after a cancel request went unanswered",
                                           statement.activity));
  }
  std::vector<const char*> values;
  values.reserve(statement.values.size());
  for (const auto& value : statement.values) values.push_back(value.c_str());
  if (pq_.send_query_params(connection_.get(), statement.sql.c_str(), static_cast<int>(values.size()), nullptr,
                            values.data(), nullptr, nullptr, 0) == 0) {
    throw broken(statement);
  }
  pq_.set_single_row_mode(connection_.get());
  std::optional<Error> failure;
  while (const Result result = next_result(statement)) {
    const ExecStatusType status = pq_.result_status(result.get());
    if (status == PGRES_SINGLE_TUPLE) {
      try {
        visit(Row(pq_, result.get(), 0));
      } catch (...) {
        cancel_statement();
        drain();
        throw;
      }
    } else if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
      failure = statement_error(statement, result.get());
    }
  }
  if (failure) throw *failure;
}

void Connection::give_up() {
  cancel_statement();
  connection_.reset();
}

void Connection::command(const Statement& statement, Answer& answer) {
  run_.check();
  if (pq_.send_query(connection_.get(), statement.sql.c_str()) == 0) throw broken(statement);
  std::optional<Error> failure;
  try {
    std::size_t set = 0;
    while (const Result result = next_result(statement)) {
      const ExecStatusType status = pq_.result_status(result.get());
      if (status == PGRES_TUPLES_OK) {
        const int rows = pq_.row_count(result.get());
        for (int row = 0; row < rows; ++row) answer.row(set, Row(pq_, result.get(), row));
        ++set;
      } else if (status == PGRES_COPY_OUT) {
        receive_copy(statement, answer);
      } else if (status != PGRES_COMMAND_OK) {
        failure = statement_error(statement, result.get());
      }
    }
  } catch (...) {
    // Neither the server nor libpq can leave a copy half-way and go on.
    give_up();
    throw;
  }
  if (failure) throw *failure;
}

void Connection::receive_copy(const Statement& statement, Answer& answer) {
  answer.begin_copy();
  for (;;) {
    run_.check();
    char* data = nullptr;
    const int got = pq_.get_copy_data(connection_.get(), &data, /*async=*/1);
    if (got > 0) {
      const std::unique_ptr<char, decltype(&::PQfreemem)> owner(data, pq_.free_memory);
      answer.copied(Bytes(reinterpret_cast<const std::byte*>(data), static_cast<std::size_t>(got)));
    } else if (got == 0) {
      if (!wait(POLLIN)) {
        answer.waiting();
      } else if (pq_.consume_input(connection_.get()) == 0) {
        throw broken(statement);
      }
    } else if (got == -1) {
      break;
    } else {
      throw broken(statement);
    }
  }
  answer.end_copy();
}

void Connection::execute(const Statement& statement) {
  stream(statement, [](const Row&) {});
}

void Connection::one_row(const Statement& statement, const std::function<void(const Row&)>& read) {
  int rows = 0;
  stream(statement, [&](const Row& row) {
    if (++rows == 1) read(row);
  });
  if (rows != 1) {
    throw Error(Errc::db,
                fmt::format("{}: {}: the server sent {} rows instead of one", peer(), statement.activity, rows));
  }
}

}  // namespace seawall::postgres
