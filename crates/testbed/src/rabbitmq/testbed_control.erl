%% The test bed's hand inside a broker of its own.
%%
%% It listens beside AMQP, on the loopback, and carries out orders, one a line; each answer is
%% one line of JSON. The first line of a connection is the password. What it gives that the
%% management plugin does not: counts of a queue that are true when they are asked for (the
%% plugin's are seconds old, those of quorum queues without exception), a virtual host that
%% goes with the connection that made it, however that ends, and a start that is two seconds
%% shorter.
%%
%% Whoever uses the broker is connected here. Where TESTBED_ENDS_AFTER holds a number of seconds,
%% the broker ends when nobody has been connected for so long.

-module(testbed_control).
-export([start/1]).

-define(USER, <<"testbed">>).

start(Port) ->
    {ok, Secret} = file:read_file("secret"),
    Options = [binary, {packet, line}, {active, false}, {ip, {127, 0, 0, 1}},
               {reuseaddr, true}, {backlog, 1024}, {nodelay, true}, {recbuf, 65536}],
    Linger = list_to_integer(os:getenv("TESTBED_ENDS_AFTER", "0")),
    Listening = self(),
    spawn(fun () ->
                  {ok, Socket} = gen_tcp:listen(Port, listen_options(Options)),
                  Listening ! listening,
                  Users = spawn(fun () -> users(0, Linger * 1000) end),
                  accept(Socket, string:trim(Secret), Users)
          end),
    receive listening -> ok end,
    io:format("testbed control is listening~n").

%% In a container the port is published, and its own loopback is not.
listen_options(Options) ->
    case os:getenv("TESTBED_EVERYWHERE") of
        false -> Options;
        _ -> lists:keyreplace(ip, 1, Options, {ip, {0, 0, 0, 0}})
    end.

accept(Socket, Secret, Users) ->
    {ok, Connection} = gen_tcp:accept(Socket),
    Server = spawn(fun () -> receive go -> welcome(Connection, Secret, Users) end end),
    ok = gen_tcp:controlling_process(Connection, Server),
    Server ! go,
    accept(Socket, Secret, Users).

%% Counts those who are connected, and ends the broker when there has been none for so long.
users(Count, Linger) ->
    Patience = case {Count, Linger} of
                   {0, Milliseconds} when Milliseconds > 0 -> Milliseconds;
                   _ -> infinity
               end,
    receive
        {come, User} -> monitor(process, User), User ! welcome, users(Count + 1, Linger);
        {'DOWN', _, process, _, _} -> users(Count - 1, Linger);
        keep -> users(Count, 0)
    after Patience ->
        %% Nothing of it is wanted any more, so nothing is saved.
        erlang:halt(0, [{flush, false}])
    end.

welcome(Connection, Secret, Users) ->
    case gen_tcp:recv(Connection, 0, 5000) of
        {ok, Line} ->
            case string:trim(Line) of
                Secret ->
                    Users ! {come, self()},
                    receive welcome -> ok end,
                    serve(Connection, Users, []);
                _ ->
                    answer(Connection, #{error => <<"it does not know the password">>})
            end;
        _ ->
            ok
    end,
    gen_tcp:close(Connection).

%% To the end of the connection; then the virtual hosts go that it has made.
serve(Connection, Users, Hosts) ->
    case gen_tcp:recv(Connection, 0) of
        {ok, Line} ->
            Order = binary:split(string:trim(Line), <<" ">>, [global]),
            {Answer, Made} =
                try obey(Order, Users)
                catch _:Why -> {#{error => iolist_to_binary(io_lib:format("~0p", [Why]))}, []}
                end,
            answer(Connection, Answer),
            serve(Connection, Users, Made ++ Hosts);
        _ ->
            [catch remove(Host) || Host <- Hosts]
    end.

answer(Connection, Answer) ->
    gen_tcp:send(Connection, [rabbit_json:encode(Answer), $\n]).

obey([<<"hello">>], _) ->
    {ok, Version} = application:get_key(rabbit, vsn),
    {#{version => list_to_binary(Version), pid => list_to_integer(os:getpid())}, []};
obey([<<"keep">>], Users) ->
    Users ! keep,
    {#{done => true}, []};
obey([<<"make">>, Host], _) ->
    ok = rabbit_vhost:add(Host, ?USER),
    All = <<".*">>,
    ok = rabbit_auth_backend_internal:set_permissions(?USER, Host, All, All, All, ?USER),
    {#{done => true}, [Host]};
obey([<<"queues">>, Host], _) ->
    {#{queues => lists:append([counts(Queue) || Queue <- rabbit_amqqueue:list(Host)])}, []};
obey([<<"close">>, Host], _) ->
    {#{closed => close(Host)}, []}.

%% What the queue itself knows. One that goes meanwhile is no longer there.
counts(Queue) ->
    {resource, _, queue, Name} = amqqueue:get_name(Queue),
    try
        [Ready, Unacked, Consumers] = ask(amqqueue:get_type(Queue), Queue),
        [#{name => Name, ready => Ready, unacked => Unacked, consumers => Consumers}]
    catch _:_ ->
        []
    end.

%% A quorum queue's counts elsewhere are from its last tick, so its log is asked, which answers
%% when it has carried out all that it had confirmed.
ask(rabbit_quorum_queue, Queue) ->
    Questions = [fun rabbit_fifo:query_messages_ready/1,
                 fun rabbit_fifo:query_messages_checked_out/1,
                 fun rabbit_fifo:query_consumer_count/1],
    All = fun (State) -> [Question(State) || Question <- Questions] end,
    {ok, Answers, _} = ra:consistent_query(amqqueue:get_pid(Queue), All, 5000),
    [if is_map(Answer) -> map_size(Answer); true -> Answer end || Answer <- Answers];
ask(_, Queue) ->
    Items = [messages_ready, messages_unacknowledged, consumers],
    Known = rabbit_amqqueue:info(Queue, Items),
    [proplists:get_value(Item, Known) || Item <- Items].

%% As an administrator does, with 320 CONNECTION_FORCED. The connections themselves are asked
%% where they belong to: the broker's own list of that is told later.
close(Host) ->
    Theirs = [Pid || Pid <- rabbit_networking:connections(), at(Pid) =:= Host],
    length([Pid || Pid <- Theirs, closed(Pid)]).

at(Connection) ->
    try proplists:get_value(vhost, rabbit_networking:connection_info(Connection, [vhost]))
    catch _:_ -> gone
    end.

closed(Connection) ->
    try rabbit_networking:close_connection(Connection, "the test bed closes connections") of
        ok -> true;
        _ -> false
    catch _:_ -> false
    end.

%% Clients first: one that is told why does not take it for a fault of the network.
remove(Host) ->
    close(Host),
    rabbit_vhost:delete(Host, ?USER).
